import { Injectable } from '@nestjs/common';
import { DownloadLinks } from 'nestjs-download-auth';
import type { DownloadLink, LinkUsage } from 'nestjs-download-auth';
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { AppConfig, LinkLedger } from '../../app.providers.js';
import type { LinkTerms } from '../../app.providers.js';
import { LinkStore } from './link-store.js';
import type { Happening, LinkRecord } from './link-store.js';

/** A link as its owner sees it. */
export interface LinkSummary {
  readonly id: string;
  readonly file: string;
  readonly url: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly state: 'active' | 'expired' | 'revoked';
  /** Absent: any number. */
  readonly maxDownloads?: number;
  /** What it asks for before it opens. */
  readonly asksFor?: 'confirmation' | 'password';
  /** Downloads that have begun. */
  readonly used: number;
  /** Of the download that is running, or else of the latest; absent before the first. */
  readonly progress?: Progress;
  readonly happenings: readonly Happening[];
}

export interface Progress {
  /** Different bytes sent. */
  readonly bytes: number;
  /** Bytes of the file. */
  readonly length: number;
  readonly running: boolean;
  readonly complete: boolean;
  /** Downloads of the link that are running, this one included. */
  readonly downloads: number;
}

@Injectable()
export class DemoLedger extends LinkLedger {
  private readonly seal: LinkSeal;

  constructor(
    { jwtSecret }: AppConfig,
    private readonly store: LinkStore,
    private readonly links: DownloadLinks,
  ) {
    super();
    this.seal = new LinkSeal(jwtSecret);
  }

  add(owner: string, file: string, link: DownloadLink, terms: LinkTerms): Promise<void> {
    return this.store.put({
      id: link.id,
      owner,
      file,
      sealedUrl: this.seal.close(link.url),
      maxDownloads: terms.maxDownloads,
      confirm: terms.confirm,
      passwordHash: terms.passwordHash,
      createdAt: Date.now(),
      expiresAt: link.expiresAt.getTime(),
    });
  }

  async listOf(owner: string): Promise<LinkSummary[]> {
    const ids = await this.store.idsOf(owner);
    const links = await Promise.all(ids.map((id) => this.summary(owner, id)));
    return links
      .filter((link) => link !== undefined)
      .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  async ownerOf(id: string): Promise<string | undefined> {
    return (await this.store.find(id))?.owner;
  }

  async markRevoked(id: string): Promise<void> {
    const record = await this.store.find(id);
    if (record && record.revokedAt === undefined) {
      const { happenings: _, ...entry } = record;
      await this.store.put({ ...entry, revokedAt: Date.now() });
    }
  }

  /** One link; `undefined` if it belongs to somebody else. */
  async summary(owner: string, id: string): Promise<LinkSummary | undefined> {
    const record = await this.store.find(id);
    const url = record?.owner === owner ? this.seal.open(record.sealedUrl) : undefined;
    return record && url !== undefined ? summaryOf(record, url, await this.links.usage(id)) : undefined;
  }
}

function summaryOf(record: LinkRecord, url: string, usage: LinkUsage): LinkSummary {
  const { id, file, createdAt, expiresAt, revokedAt, maxDownloads, happenings } = record;
  const { confirm, passwordHash } = record;
  return {
    id,
    file,
    url,
    createdAt: new Date(createdAt),
    expiresAt: new Date(expiresAt),
    state: revokedAt !== undefined ? 'revoked' : Date.now() >= expiresAt ? 'expired' : 'active',
    maxDownloads,
    asksFor: passwordHash ? 'password' : confirm ? 'confirmation' : undefined,
    used: usage.used,
    progress: progressOf(usage),
    happenings,
  };
}

function progressOf({ leases }: LinkUsage): Progress | undefined {
  const running = leases.filter((lease) => lease.running > 0);
  const [latest] = (running.length > 0 ? [...running] : [...leases]).sort((a, b) => b.openedAt - a.openedAt);
  if (!latest?.length) {
    return undefined;
  }
  return {
    bytes: latest.covered,
    length: latest.length,
    running: running.length > 0,
    complete: latest.completedAt !== undefined,
    downloads: running.length,
  };
}

const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts the URLs in the store, since each contains a token: a copy of the SQLite file or of the Redis
 * opens nothing. The key is derived from the secret of the access tokens.
 */
class LinkSeal {
  private readonly key: Uint8Array;

  constructor(secret: string) {
    this.key = new Uint8Array(hkdfSync('sha256', secret, '', 'sample application: URLs in the ledger', 32));
  }

  close(url: string): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.key, iv);
    const text = Buffer.concat([cipher.update(url, 'utf8'), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
  }

  /** @returns `undefined` if it was sealed with another secret; then the link does not work either */
  open(sealed: string): string | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    const text = bytes.subarray(IV_BYTES + TAG_BYTES);
    try {
      const decipher = createDecipheriv(ALGORITHM, this.key, bytes.subarray(0, IV_BYTES));
      decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
      return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8');
    } catch {
      return undefined;
    }
  }
}
