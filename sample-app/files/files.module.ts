import { Module } from '@nestjs/common';
import { AuthModule } from '../auth/auth.module.js';
import { FileLibrary } from './file-library.service.js';
import { FilesController } from './files.controller.js';

@Module({
  imports: [AuthModule],
  controllers: [FilesController],
  providers: [FileLibrary],
  exports: [FileLibrary],
})
export class FilesModule {}
