import { BadRequestException, Injectable, NotFoundException } from '@nestjs/common';
import { DownloadAuthConfigurationError, type DownloadLink, DownloadLinks } from 'nestjs-download-auth';
import { FileLibrary } from '../files/file-library.service.js';
import { FilesController } from '../files/files.controller.js';
import { paceClaims } from '../files/slow-motion.js';
import { LinkLedger } from '../ledger/link-ledger.js';
import { LinkSeal } from './link-seal.js';
import type { LinkRequest } from './link-request.js';
import { type LinkSummary, summaryOf } from './link-summary.js';

/** What a person may do with links: make them, see the own ones, take one back. */
@Injectable()
export class LinksService {
  constructor(
    private readonly downloadLinks: DownloadLinks,
    private readonly library: FileLibrary,
    private readonly ledger: LinkLedger,
    private readonly seal: LinkSeal,
  ) {}

  /**
   * @throws NotFoundException for a file that is not there
   * @throws BadRequestException for a lifetime that is none
   */
  async create(owner: string, fileId: string, request: LinkRequest): Promise<DownloadLink> {
    const file = await this.library.find(fileId);
    const link = this.mint(owner, file.id, request);
    await this.ledger.put({
      id: link.id,
      owner,
      file: file.id,
      sealedUrl: this.seal.seal(link.url),
      maxDownloads: request.maxDownloads,
      createdAt: Date.now(),
      expiresAt: link.expiresAt.getTime(),
    });
    return link;
  }

  /** The links of one person, the newest first. */
  async list(owner: string): Promise<LinkSummary[]> {
    const ids = await this.ledger.idsOf(owner);
    const links = await Promise.all(ids.map((id) => this.summary(owner, id)));
    return links
      .filter((link) => link !== undefined)
      .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  /** One link of one person; `undefined` also for a link of somebody else. */
  async summary(owner: string, id: string): Promise<LinkSummary | undefined> {
    const record = await this.ledger.find(id);
    const url = record?.owner === owner ? this.seal.open(record.sealedUrl) : undefined;
    return record && url !== undefined
      ? summaryOf(record, url, await this.downloadLinks.usage(id))
      : undefined;
  }

  /**
   * Also stops the downloads that run.
   * @throws NotFoundException for an unknown link, and for one of somebody else
   */
  async revoke(owner: string, id: string): Promise<void> {
    const record = await this.ledger.find(id);
    if (record?.owner !== owner) throw new NotFoundException('You have no such link.');
    if (record.revokedAt !== undefined) return;
    await this.downloadLinks.revoke({ link: id });
    const { happenings: _, ...entry } = record;
    await this.ledger.put({ ...entry, revokedAt: Date.now() });
  }

  private mint(owner: string, fileId: string, { bytesPerSecond, ...limits }: LinkRequest): DownloadLink {
    try {
      return this.downloadLinks.create(FilesController, 'download', {
        ...limits,
        params: { id: fileId },
        subject: owner,
        claims: paceClaims(bytesPerSecond),
      });
    } catch (error) {
      // its limits are the only part of this call that the caller chose
      if (error instanceof DownloadAuthConfigurationError) throw new BadRequestException(error.message);
      throw error;
    }
  }
}
