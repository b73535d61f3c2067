import {
  BadRequestException,
  Body,
  Controller,
  Header,
  HttpCode,
  HttpException,
  Ip,
  Post,
  Res,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { DownloadCookie } from 'nestjs-download-auth';
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import { bodyFields } from '../http/body-fields.js';
import { type AccessToken, AccessTokenService } from './access-token.service.js';
import { BearerGuard } from './bearer.guard.js';
import { DEMO_USERS } from './demo-users.js';
import { Session, type SessionInfo } from './session.decorator.js';

interface HeaderWriter {
  header(name: string, value: string): unknown;
}

/** How many wrong passwords one address may try in a minute. */
const FAILURES_A_MINUTE = 10;

@Controller('auth')
export class AuthController {
  private readonly failures = new RateLimiterMemory({ points: FAILURES_A_MINUTE, duration: 60 });

  constructor(
    private readonly tokens: AccessTokenService,
    private readonly cookie: DownloadCookie,
  ) {}

  @Post('login')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async login(
    @Body() body: unknown,
    @Ip() address: string,
    @Res({ passthrough: true }) response: HeaderWriter,
  ): Promise<AccessToken> {
    const { username, password } = bodyFields(body, ['username', 'password']);
    if (typeof username !== 'string' || typeof password !== 'string') {
      throw new BadRequestException('Send username and password, both as text.');
    }
    // Charged before the password is looked at, so that many attempts at once find no gap
    await this.failures.consume(address).catch(({ msBeforeNext }: RateLimiterRes) => {
      response.header('Retry-After', String(Math.ceil(msBeforeNext / 1000)));
      throw new HttpException('Too many failed attempts to sign in. Try again in a minute.', 429);
    });
    if (DEMO_USERS.get(username) !== password) {
      throw new UnauthorizedException('This name and password do not belong together.');
    }
    await this.failures.reward(address);
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
