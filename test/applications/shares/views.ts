import { Injectable } from '@nestjs/common';
import { parseCookie } from 'cookie';
import { randomBytes } from 'node:crypto';

/** Who has given the password of which share, by a cookie for each share. */
@Injectable()
export class Views {
  private readonly views = new Map<string, string>();

  /** @returns the field of a cookie */
  begin(share: string): string {
    const view = randomBytes(24).toString('base64url');
    this.views.set(view, share);
    return `share_${share}=${view}; HttpOnly; SameSite=Lax; Path=/shares/${share}`;
  }

  has(cookies: string | undefined, share: string): boolean {
    const view = parseCookie(cookies ?? '')[`share_${share}`];
    return view !== undefined && this.views.get(view) === share;
  }
}
