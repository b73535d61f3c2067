import type { LeaseKeeper } from '../leases/keeper.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { ResolvedPromptOptions } from './options.js';

/** The record of a link that counts wrong answers. */
const RECORD = 'challenge';

/** How many answers were wrong or are still being judged since the last block, and the blocks so far. */
interface WrongAnswers {
  readonly wrong: number;
  /** How often the link was blocked. */
  readonly blocks: number;
  /** Milliseconds since the epoch, while `wrong` is at its limit. */
  readonly blockedUntil: number;
}

/** A link, and the moment until which its wrong answers are to be remembered. */
interface AskedLink {
  readonly linkId: string;
  readonly endsAt: number;
}

/**
 * Judges answers, unless a link had too many wrong ones. Each answer counts as wrong before it is judged: of
 * any number that arrive at once, on any number of nodes, no more are judged than may be wrong.
 *
 * @throws DownloadRefusal CHALLENGE_BLOCKED, STORE_UNAVAILABLE
 */
export async function judged(
  keeper: Pick<LeaseKeeper, 'changeRecord'>,
  link: AskedLink,
  options: ResolvedPromptOptions,
  isRight: () => Promise<boolean>,
): Promise<boolean> {
  const change = <T>(decide: (now: number, known: WrongAnswers) => { value?: WrongAnswers; answer: T }) =>
    keeper.changeRecord({ ...link, id: RECORD }, (now, value) =>
      decide(now, (value as WrongAnswers) ?? NONE),
    );
  const wait = await change((now, known) => charged(now, known, options));
  if (wait > 0) {
    const minutes = Math.ceil(wait / 60_000);
    throw new DownloadRefusal('CHALLENGE_BLOCKED', {
      retryAfter: wait / 1000,
      message: `Too many wrong answers: this download link takes none for ${minutes} minute${minutes > 1 ? 's' : ''}.`,
    });
  }
  const right = await isRight();
  if (right) {
    await change((_now, known) => ({ value: refunded(known, options), answer: undefined }));
  }
  return right;
}

const NONE: WrongAnswers = { wrong: 0, blocks: 0, blockedUntil: 0 };

/** Counts one more; answers for how many milliseconds the link is blocked instead. */
function charged(
  now: number,
  known: WrongAnswers,
  { wrongAnswers, blockFor }: ResolvedPromptOptions,
): { value: WrongAnswers; answer: number } {
  const isFull = known.wrong >= wrongAnswers;
  if (isFull && now < known.blockedUntil) {
    return { value: known, answer: known.blockedUntil - now };
  }
  const { blocks } = known;
  const wrong = isFull ? 1 : known.wrong + 1;
  const blocked = wrong >= wrongAnswers;
  return {
    value: {
      wrong,
      blocks: blocks + (blocked ? 1 : 0),
      blockedUntil: blocked ? now + blockFor * 2 ** blocks : 0,
    },
    answer: 0,
  };
}

/** Takes a right answer back out of the count, and the block that it completed. */
function refunded(known: WrongAnswers, { wrongAnswers }: ResolvedPromptOptions): WrongAnswers | undefined {
  const blocks = known.wrong >= wrongAnswers ? known.blocks - 1 : known.blocks;
  const wrong = Math.max(0, known.wrong - 1);
  return wrong > 0 || blocks > 0 ? { wrong, blocks: Math.max(0, blocks), blockedUntil: 0 } : undefined;
}
