import { Injectable } from '@nestjs/common';
import { DownloadRefusal, type TokenClaims } from 'nestjs-download-auth';

/**
 * The links that were taken back. They are remembered by this process until they would have expired anyway; a restart
 * forgets them, which is why an application that runs for real keeps them in a database.
 */
@Injectable()
export class LinkRevocations {
  private readonly expiryById = new Map<string, number>();

  revoke(id: string, expiresAt: Date): void {
    const now = Date.now();
    for (const [known, expiry] of this.expiryById) if (expiry <= now) this.expiryById.delete(known);
    this.expiryById.set(id, expiresAt.getTime());
  }

  isRevoked(id: string): boolean {
    return this.expiryById.has(id);
  }

  /**
   * The application's word on a link that is about to be opened, for the option `links.validate`.
   * @returns the claims, which become `request.user`
   * @throws DownloadRefusal `LINK_REVOKED`
   */
  readonly check = (claims: TokenClaims): TokenClaims => {
    if (claims.jti !== undefined && this.isRevoked(claims.jti)) throw new DownloadRefusal('LINK_REVOKED');
    return claims;
  };
}
