import { Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { DownloadAuthModule, verifyPassword } from 'nestjs-download-auth';
import { AppConfig, LinkPasswords } from './app.providers.js';
import { AuthController } from './auth.controller.js';
import { FilesController } from './files.controller.js';
import { FilesService } from './files.service.js';
import { LinksController } from './links.controller.js';
import { MediaController } from './media.controller.js';

/** The application. What it needs from outside is in `app.providers.ts`; here `demo/` provides it. */
@Module({
  imports: [
    JwtModule.registerAsync({
      global: true,
      inject: [AppConfig],
      useFactory: ({ jwtSecret }: AppConfig) => ({ secret: jwtSecret, signOptions: { expiresIn: '1h' } }),
    }),
    DownloadAuthModule.forRootAsync({
      inject: [AppConfig, LinkPasswords],
      useFactory: ({ jwtSecret, leases }: AppConfig, passwords: LinkPasswords) => ({
        secret: jwtSecret,
        leases,
        challenge: async (answer, { link }) => {
          const hash = link && (await passwords.hashOf(link.id));
          return hash !== undefined && verifyPassword(answer, hash);
        },
      }),
    }),
  ],
  controllers: [AuthController, FilesController, LinksController, MediaController],
  providers: [FilesService],
  exports: [FilesService],
})
export class AppModule {}
