import { ForbiddenException, GoneException, Injectable, NotFoundException } from '@nestjs/common';
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';

/** A row of the table of shares. */
export interface Share {
  readonly id: string;
  readonly owner: string;
  readonly folder: string;
  readonly passwordHash?: string;
  readonly expiresAt: Date;
  readonly maxViews?: number;
  readonly views: number;
}

/** What the owner may choose, and change later. */
export interface ShareTerms {
  readonly expiresAt: string;
  readonly maxViews?: number;
}

/** The table of shares. */
@Injectable()
export class Shares {
  private readonly rows = new Map<string, Share>();

  add(owner: string, folder: string, password: string | undefined, terms: ShareTerms): Share {
    const share: Share = {
      id: randomBytes(9).toString('base64url'),
      owner,
      folder,
      passwordHash: password === undefined ? undefined : hash(password, randomBytes(16)),
      expiresAt: new Date(terms.expiresAt),
      maxViews: terms.maxViews,
      views: 0,
    };
    this.rows.set(share.id, share);
    return share;
  }

  change(id: string, owner: string, terms: Partial<ShareTerms>): void {
    const share = this.ofOwner(id, owner);
    const { expiresAt = share.expiresAt, maxViews = share.maxViews } = terms;
    this.rows.set(id, { ...share, expiresAt: new Date(expiresAt), maxViews });
  }

  remove(id: string, owner: string): void {
    this.rows.delete(this.ofOwner(id, owner).id);
  }

  ofOwner(id: string, owner: string): Share {
    const share = this.rows.get(id);
    if (share?.owner !== owner) {
      throw new NotFoundException('You have no such share.');
    }
    return share;
  }

  /** @throws HttpException 404 if there is none, 410 if it has expired */
  open(id: string): Share {
    const share = this.rows.get(id);
    if (!share) {
      throw new NotFoundException('There is no such share.');
    }
    if (share.expiresAt.getTime() <= Date.now()) {
      throw new GoneException('This share has expired.');
    }
    return share;
  }

  /** Counts somebody who has the password. */
  view(id: string, password: string): void {
    const share = this.open(id);
    if (share.passwordHash !== undefined && !isPassword(password, share.passwordHash)) {
      throw new ForbiddenException('Wrong password.');
    }
    if (share.maxViews !== undefined && share.views >= share.maxViews) {
      throw new GoneException('This share was viewed too often.');
    }
    this.rows.set(id, { ...share, views: share.views + 1 });
  }
}

function hash(password: string, salt: Buffer): string {
  return `${salt.toString('base64url')}.${scryptSync(password, salt, 32, { N: 1024 }).toString('base64url')}`;
}

function isPassword(password: string, stored: string): boolean {
  const [salt = ''] = stored.split('.');
  return timingSafeEqual(Buffer.from(hash(password, Buffer.from(salt, 'base64url'))), Buffer.from(stored));
}
