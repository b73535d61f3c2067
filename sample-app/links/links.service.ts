import { BadRequestException, Injectable, NotFoundException, NotImplementedException } from '@nestjs/common';
import { DownloadAuthConfigurationError, type DownloadLink, DownloadLinks } from 'nestjs-download-auth';
import { FileLibrary } from '../files/file-library.service.js';
import { FilesController } from '../files/files.controller.js';
import { LinkLedger } from './link-ledger.js';
import type { LinkRequest } from './link-request.js';
import { LinkRevocations } from './link-revocations.js';

/** A link as its owner sees it. */
export interface LinkSummary {
  readonly id: string;
  readonly file: string;
  readonly url: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly state: 'active' | 'expired' | 'revoked';
}

/** What a person may do with links: make them, see the own ones, take one back. */
@Injectable()
export class LinksService {
  constructor(
    private readonly downloadLinks: DownloadLinks,
    private readonly library: FileLibrary,
    private readonly ledger: LinkLedger,
    private readonly revocations: LinkRevocations,
  ) {}

  /**
   * @throws NotFoundException for a file that is not there
   * @throws BadRequestException for a lifetime that is none
   */
  async create(owner: string, fileId: string, request: LinkRequest): Promise<DownloadLink> {
    const file = await this.library.find(fileId);
    if (request.maxDownloads !== undefined) {
      throw new NotImplementedException('maxDownloads: downloads are not counted yet. Leave it out.');
    }
    const link = this.mint(owner, file.id, request);
    this.ledger.add(owner, file.id, link);
    return link;
  }

  list(owner: string): LinkSummary[] {
    return this.ledger.of(owner).map(({ id, file, url, createdAt, expiresAt }) => ({
      id,
      file,
      url,
      createdAt,
      expiresAt,
      state: this.stateOf(id, expiresAt),
    }));
  }

  /** @throws NotFoundException for an unknown link, and for one of somebody else */
  revoke(owner: string, id: string): void {
    const record = this.ledger.find(owner, id);
    if (!record) throw new NotFoundException('You have no such link.');
    this.revocations.revoke(id, record.expiresAt);
  }

  private mint(owner: string, fileId: string, { expiresIn }: LinkRequest): DownloadLink {
    try {
      return this.downloadLinks.create(FilesController, 'download', {
        params: { id: fileId },
        subject: owner,
        expiresIn,
      });
    } catch (error) {
      // the lifetime is the only part of this call that the caller chose
      if (error instanceof DownloadAuthConfigurationError) throw new BadRequestException(error.message);
      throw error;
    }
  }

  private stateOf(id: string, expiresAt: Date): LinkSummary['state'] {
    if (this.revocations.isRevoked(id)) return 'revoked';
    return Date.now() >= expiresAt.getTime() ? 'expired' : 'active';
  }
}
