import { Injectable, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Shares } from './shares.js';
import { Views } from './views.js';

interface ShareRequest {
  readonly headers: { readonly cookie?: string; readonly 'x-owner'?: string };
  readonly params: { readonly share: string };
}

/** Lets in who has given the password of an open share. */
@Injectable()
export class ShareGuard implements CanActivate {
  constructor(
    private readonly shares: Shares,
    private readonly views: Views,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { headers, params } = context.switchToHttp().getRequest<ShareRequest>();
    this.shares.open(params.share);
    if (!this.views.has(headers.cookie, params.share)) {
      throw new UnauthorizedException('Give the password of this share.');
    }
    return true;
  }
}

/** Lets in owners; how they sign in does not matter here. */
@Injectable()
export class OwnerGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<ShareRequest>();
    if (headers['x-owner'] === undefined) {
      throw new UnauthorizedException();
    }
    return true;
  }
}
