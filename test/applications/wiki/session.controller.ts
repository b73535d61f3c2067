import { Body, Controller, HttpCode, Post, Res, UnauthorizedException } from '@nestjs/common';
import { Sessions } from './sessions.js';

@Controller('session')
export class SessionController {
  constructor(private readonly sessions: Sessions) {}

  @Post()
  @HttpCode(204)
  signIn(
    @Body() { name, password }: { name: string; password: string },
    @Res({ passthrough: true }) response: { header(name: string, value: string): unknown },
  ): void {
    const id = this.sessions.start(name, password);
    if (id === undefined) {
      throw new UnauthorizedException('Wrong name or password.');
    }
    response.header('Set-Cookie', `sid=${id}; HttpOnly; SameSite=Lax; Path=/`);
  }
}
