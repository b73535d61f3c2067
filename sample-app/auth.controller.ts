import {
  BadRequestException,
  Body,
  Controller,
  Header,
  Headers,
  HttpCode,
  Post,
  Res,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { DownloadCookie } from 'nestjs-download-auth';
import { Users } from './app.providers.js';
import { AuthGuard, bearerToken } from './auth.guard.js';
import type { UserClaims } from './auth.guard.js';

@Controller('auth')
export class AuthController {
  constructor(
    private readonly users: Users,
    private readonly jwt: JwtService,
    private readonly cookie: DownloadCookie,
  ) {}

  @Post('login')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async login(@Body() body?: { username?: unknown; password?: unknown }) {
    const { username, password } = body ?? {};
    if (typeof username !== 'string' || typeof password !== 'string') {
      throw new BadRequestException('Send username and password, both as strings.');
    }
    if (!(await this.users.hasPassword(username, password))) {
      throw new UnauthorizedException('Wrong name or password.');
    }
    const accessToken = await this.jwt.signAsync({ sub: username });
    const { exp } = this.jwt.decode<UserClaims>(accessToken);
    return { accessToken, expiresAt: new Date(exp * 1000) };
  }

  /** From now on the browser sends the token itself, so a plain link to a download works. */
  @Post('cookie')
  @HttpCode(204)
  @UseGuards(AuthGuard)
  setCookie(
    @Headers('authorization') authorization: string,
    @Res({ passthrough: true }) response: object,
  ): void {
    this.cookie.set(response, bearerToken(authorization) as string);
  }

  /** Needs no token: an expired session can be cleared too. */
  @Post('logout')
  @HttpCode(204)
  logout(@Res({ passthrough: true }) response: object): void {
    this.cookie.clear(response);
  }
}
