import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { PassportModule } from '@nestjs/passport';
import { besideLinks, DownloadAuthModule } from 'nestjs-download-auth';
import { BooksController } from './books.controller';
import { Books } from './books';
import { JwtAuthGuard } from './jwt-auth.guard';
import { JwtStrategy } from './jwt.strategy';
import type { Listener } from './jwt.strategy';
import { SessionController } from './session.controller';

declare module 'nestjs-download-auth' {
  interface DownloadRoutes {
    chapter: { book: string; chapter: string };
  }
}

@Module({
  imports: [
    PassportModule,
    DownloadAuthModule.forRoot({
      auth: 'public', // JwtAuthGuard has decided
      subject: ({ user }: { user: Listener }) => user.name,
      links: { secret: 'the secret of the links of the audiobook server' },
    }),
  ],
  controllers: [SessionController, BooksController],
  providers: [Books, JwtStrategy, { provide: APP_GUARD, useClass: besideLinks(JwtAuthGuard) }],
})
export class AppModule {}
