import type { AnyRequest } from '../http/http-exchange.js';
import type { DownloadRefusal } from '../refusals/download-refusal.js';
import { callable, checkOptions, duration, wholeNumber } from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { durationInSeconds } from '../shared/duration.js';
import type { Duration } from '../shared/duration.js';
import type { LinkGrant } from '../tokens/grant.js';

/** What a link asks for: a press of a button, of everybody or of browsers alone, or an answer. */
export type LinkAsk = 'confirm' | 'browsers' | 'challenge';

/**
 * Whether an answer to a link's challenge is right. Anything but `true` counts as wrong; what it throws is
 * answered as an error, and counts as wrong too.
 *
 * @param answer as the person typed it, spaces included
 * @param request the framework's request, whose `params` say what is to be downloaded
 */
export type Challenge = (answer: string, grant: LinkGrant, request: AnyRequest) => boolean | Promise<boolean>;

/** What a page that asks something needs to know. */
export interface LinkPrompt {
  /** A press of the button, or an answer to the challenge. */
  readonly asks: 'confirmation' | 'answer';
  /** Of the link: `grant.link.filename` where the link fixes it, `grant.link.expiresAt`. */
  readonly grant: LinkGrant;
  /**
   * Names and values of the hidden fields of the form. It is `<form method="post">` without an `action`; an
   * answer goes into a field named `answer`.
   */
  readonly fields: Readonly<Record<string, string>>;
  /** Why the page is shown again: `LINK_UNCONFIRMED` or `CHALLENGE_FAILED`. */
  readonly problem?: DownloadRefusal;
  /** The framework's request, for instance for its `Accept-Language`. */
  readonly request: AnyRequest;
}

/** Makes the HTML of a page that asks something. */
export type PromptPage = (prompt: LinkPrompt) => string | Promise<string>;

/** The texts of the built-in page, as plain text. */
export interface PromptTexts {
  /** The language that the texts are in (BCP 47); the expiry is written in it. */
  readonly lang: string;
  readonly confirmTitle: string;
  readonly confirmText: string;
  readonly confirmButton: string;
  /** Shown when the button did not count. */
  readonly unconfirmed: string;
  readonly challengeTitle: string;
  readonly challengeText: string;
  readonly answerLabel: string;
  readonly challengeButton: string;
  /** Shown after a wrong answer. */
  readonly wrong: string;
  /** `{date}` is the moment at which the link ends. */
  readonly expires: string;
}

/** What links that ask something show, and how many wrong answers they take. */
export interface PromptOptions {
  /** Replaces the built-in page. */
  readonly page?: PromptPage;
  /** Replaces texts of the built-in page, such as by a translation for the request. Default: English. */
  readonly texts?: (request: AnyRequest) => Partial<PromptTexts> | Promise<Partial<PromptTexts>>;
  /** How many wrong answers block a link, on all nodes and from all addresses together. Default 10. */
  readonly wrongAnswers?: number;
  /** For how long it is blocked; each further time for twice as long as before. Default 15 minutes. */
  readonly blockFor?: Duration;
}

/** The checked options, with the defaults filled in; `blockFor` is in milliseconds. */
export type ResolvedPromptOptions = Readonly<ReturnType<typeof resolvePromptOptions>>;

const RULES: OptionRules<PromptOptions> = {
  page: callable,
  texts: callable,
  wrongAnswers: wholeNumber(1, 1000),
  blockFor: duration({ above: 0, advice: "0 would never block a link. Write a duration such as '15m'." }),
};

/** @throws DownloadAuthConfigurationError for an unknown option or a value that cannot work */
export function resolvePromptOptions(options: PromptOptions = {}) {
  checkOptions(options, RULES, 'prompts');
  const { page, texts, wrongAnswers = 10, blockFor = '15m' } = options;
  return { page, texts, wrongAnswers, blockFor: durationInSeconds(blockFor) * 1000 };
}
