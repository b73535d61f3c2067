import { Controller, Module, Param, Sse } from '@nestjs/common';
import { DownloadEvents } from '../../lib/index.js';
import type { LinkMessage } from '../../lib/index.js';
import type { Answer } from './http-client.js';

@Controller()
class FollowController {
  constructor(private readonly events: DownloadEvents) {}

  @Sse('links/:id/events')
  follow(@Param('id') id: string) {
    return this.events.of(id);
  }
}

/** Lets anybody follow a link, at `/links/ID/events`. */
@Module({ controllers: [FollowController] })
export class FollowModule {}

/** The messages of an event stream that are here. */
export function messagesIn({ text }: Answer): Pick<LinkMessage, 'type' | 'id' | 'data'>[] {
  return text
    .split('\n\n')
    .filter((message) => message.includes('data: '))
    .map((message) => {
      const [, type, id, data] = /event: (.*)\nid: (.*)\ndata: (.*)/.exec(message) ?? [];
      return { type, id, data: JSON.parse(data!) } as LinkMessage;
    });
}
