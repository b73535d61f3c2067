import { Module } from '@nestjs/common';
import { AccessTokenService } from './access-token.service.js';
import { AuthController } from './auth.controller.js';

@Module({
  controllers: [AuthController],
  providers: [AccessTokenService],
  exports: [AccessTokenService],
})
export class AuthModule {}
