import { Body, Controller, Post, UnauthorizedException } from '@nestjs/common';
import { sign } from 'jsonwebtoken';
import { Public } from './jwt-auth.guard';
import { JWT_SECRET } from './jwt.strategy';

@Controller('session')
export class SessionController {
  @Post()
  @Public()
  signIn(@Body() { name, password }: { name: string; password: string }) {
    if (password !== `password of ${name}`) {
      throw new UnauthorizedException();
    }
    return { accessToken: sign({ sub: name }, JWT_SECRET, { expiresIn: '1h' }) };
  }
}
