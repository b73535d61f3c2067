import { ForbiddenException, Injectable, NotFoundException, UnauthorizedException } from '@nestjs/common';

export interface Attachment {
  /** Where it is stored, in the folder of all attachments. */
  readonly file: string;
  /** As its author named it. */
  readonly name: string;
  readonly type: string;
}

interface Page {
  readonly members: readonly string[] | 'everybody';
  readonly attachments: Readonly<Record<string, Attachment>>;
}

const PAGES: Readonly<Record<string, Page>> = {
  welcome: {
    members: 'everybody',
    attachments: { map: { file: 'a1', name: 'map of the office.png', type: 'image/png' } },
  },
  salaries: {
    members: ['ada'],
    attachments: {
      table: { file: 'a2', name: 'Gehälter "2026"\r\n(final).pdf', type: 'application/pdf' },
      lost: { file: 'a3', name: 'lost.zip', type: 'application/zip' },
    },
  },
};

/** The pages of the wiki and what is attached to them. */
@Injectable()
export class Pages {
  constructor(readonly folder: string) {}

  attachment(page: string, id: string): Attachment {
    const { attachments } = this.page(page);
    if (!Object.hasOwn(attachments, id)) {
      throw new NotFoundException('There is no such attachment.');
    }
    return attachments[id] as Attachment;
  }

  /** @throws HttpException 401 for an anonymous visitor, 403 for a member who may not */
  assertReadable(page: string, user: string | undefined): void {
    const { members } = this.page(page);
    if (members === 'everybody') {
      return;
    }
    if (user === undefined) {
      throw new UnauthorizedException('Sign in to read this page.');
    }
    if (!members.includes(user)) {
      throw new ForbiddenException('You may not read this page.');
    }
  }

  private page(id: string): Page {
    if (!Object.hasOwn(PAGES, id)) {
      throw new NotFoundException('There is no such page.');
    }
    return PAGES[id] as Page;
  }
}
