import { Logger, ServiceUnavailableException } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { Subject } from 'rxjs';
import { HAPPENINGS_KEPT, LinkStore, listedUntil } from './link-store.js';
import type { Happening, LinkChange, LinkEntry, LinkRecord } from './link-store.js';

/** How often to warn while Redis is unreachable, ms. */
const WARN_EVERY = 5000;

const CHANGES = 'sample:changes';
const entryKey = (id: string): string => `sample:link:${id}`;
const happeningsKey = (id: string): string => `sample:happenings:${id}`;
const idsKey = (owner: string): string => `sample:links:${owner}`;

/**
 * For several machines. A link is a JSON string, its happenings are a list, and a person's links a set
 * sorted by the time until which they are listed. Changes are published.
 */
export class RedisLinkStore extends LinkStore implements OnApplicationShutdown {
  readonly changes = new Subject<LinkChange>();
  private readonly logger = new Logger('RedisLinkStore');
  private readonly redis: Redis;
  private readonly subscriber: Redis;
  private warnedAt = 0;

  constructor(url: string) {
    super();
    // While Redis is unreachable, a request fails instead of waiting.
    this.redis = new Redis(url, { maxRetriesPerRequest: 1 });
    this.subscriber = this.redis.duplicate({ maxRetriesPerRequest: null });
    this.redis.on('error', (error: Error) => this.warn(error));
    // The other connection reports the same error.
    this.subscriber.on('error', () => undefined);
    this.subscriber.on('message', (_channel, text) => this.tell(text));
    this.subscriber.subscribe(CHANGES).catch(() => undefined);
  }

  private warn(error: Error): void {
    if (Date.now() - this.warnedAt < WARN_EVERY) {
      return;
    }
    this.warnedAt = Date.now();
    this.logger.warn(`Redis cannot be used, so links may be missing from lists: ${error.message}`);
  }

  /** Other clients of the Redis may publish anything on this channel. */
  private tell(text: string): void {
    try {
      this.changes.next(JSON.parse(text) as LinkChange);
    } catch (error) {
      this.warn(error as Error);
    }
  }

  async put(entry: LinkEntry): Promise<void> {
    const entering = this.redis
      .multi()
      .set(entryKey(entry.id), JSON.stringify(entry), 'PX', listedUntil(entry) - Date.now())
      .zadd(idsKey(entry.owner), listedUntil(entry), entry.id)
      .publish(CHANGES, changeOf(entry))
      .exec();
    await reached(entering);
  }

  async note(entry: LinkEntry, happening: Happening): Promise<void> {
    const noting = this.redis
      .multi()
      .rpush(happeningsKey(entry.id), JSON.stringify(happening))
      .ltrim(happeningsKey(entry.id), -HAPPENINGS_KEPT, -1)
      .pexpireat(happeningsKey(entry.id), listedUntil(entry))
      .publish(CHANGES, changeOf(entry))
      .exec();
    await reached(noting);
  }

  async find(id: string): Promise<LinkRecord | undefined> {
    const [entry, happenings] = await reached(
      Promise.all([this.redis.get(entryKey(id)), this.redis.lrange(happeningsKey(id), 0, -1)]),
    );
    if (entry === null) {
      return undefined;
    }
    return {
      ...(JSON.parse(entry) as LinkEntry),
      happenings: happenings.map((text) => JSON.parse(text) as Happening),
    };
  }

  async idsOf(owner: string): Promise<string[]> {
    await reached(this.redis.zremrangebyscore(idsKey(owner), '-inf', Date.now()));
    return reached(this.redis.zrange(idsKey(owner), '0', '-1'));
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
    this.subscriber.disconnect();
  }
}

function changeOf({ id, owner }: LinkEntry): string {
  return JSON.stringify({ id, owner } satisfies LinkChange);
}

/** Answers 503 while Redis is unreachable. */
async function reached<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new ServiceUnavailableException('The list of links is unavailable at the moment.', { cause });
  }
}
