import { Controller, Param, Post } from '@nestjs/common';
import { Workspaces } from './workspaces.js';

/** Of the sign-in only the end is here. */
@Controller('workspaces/:workspace')
export class SignInController {
  constructor(private readonly workspaces: Workspaces) {}

  @Post('sign-in/:user')
  signIn(@Param('workspace') workspace: string, @Param('user') user: string) {
    return {
      accessToken: this.workspaces.sign({ type: 'access', sub: user, workspace }),
      refreshToken: this.workspaces.sign({ type: 'refresh', sub: user, workspace }),
    };
  }
}
