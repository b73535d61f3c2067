import { ForbiddenException, Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Workspaces } from '../workspaces.js';

export interface FileRequest {
  readonly params: { readonly id: string };
  readonly query: { readonly token?: unknown };
  workspace?: string;
}

/** Lets in who has a token for one file, in the URL. */
@Injectable()
export class FileTokenGuard implements CanActivate {
  constructor(private readonly workspaces: Workspaces) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<FileRequest>();
    const { token } = request.query;
    const claims = typeof token === 'string' ? this.workspaces.verify(token, 'file') : undefined;
    if (claims?.file !== request.params.id) {
      throw new ForbiddenException('The link is not valid.');
    }
    request.workspace = claims.workspace;
    return true;
  }
}
