import {
  BadRequestException,
  Body,
  Controller,
  Header,
  HttpCode,
  Post,
  Res,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { DownloadCookie } from 'nestjs-download-auth';
import { bodyFields } from '../http/body-fields.js';
import { type AccessToken, AccessTokenService } from './access-token.service.js';
import { BearerGuard } from './bearer.guard.js';
import { DEMO_USERS } from './demo-users.js';
import { Session, type SessionInfo } from './session.decorator.js';

@Controller('auth')
export class AuthController {
  constructor(
    private readonly tokens: AccessTokenService,
    private readonly cookie: DownloadCookie,
  ) {}

  @Post('login')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  login(@Body() body: unknown): AccessToken {
    const { username, password } = bodyFields(body, ['username', 'password']);
    if (typeof username !== 'string' || typeof password !== 'string') {
      throw new BadRequestException('Send username and password, both as text.');
    }
    if (DEMO_USERS.get(username) !== password) {
      throw new UnauthorizedException('This name and password do not belong together.');
    }
    return this.tokens.issue(username);
  }

  /** Lets the browser send the token by itself, so that a plain link to a download works. */
  @Post('cookie')
  @HttpCode(204)
  @UseGuards(BearerGuard)
  remember(@Session() session: SessionInfo, @Res({ passthrough: true }) response: object): void {
    this.cookie.set(response, session.accessToken);
  }

  /** Asks for no token: whoever has a cookie may drop it, also one that has expired. */
  @Post('logout')
  @HttpCode(204)
  logout(@Res({ passthrough: true }) response: object): void {
    this.cookie.clear(response);
  }
}
