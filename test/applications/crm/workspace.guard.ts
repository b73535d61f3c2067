import { Injectable, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Workspaces } from './workspaces.js';
import type { WorkspaceClaims } from './workspaces.js';

export interface CrmRequest {
  readonly headers: { readonly authorization?: string };
  user?: WorkspaceClaims;
}

/** Lets in who has an access token of a workspace. */
@Injectable()
export class WorkspaceGuard implements CanActivate {
  constructor(private readonly workspaces: Workspaces) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<CrmRequest>();
    const [, token = ''] = request.headers.authorization?.split(' ') ?? [];
    request.user = this.workspaces.verify(token, 'access');
    if (!request.user) {
      throw new UnauthorizedException();
    }
    return true;
  }
}
