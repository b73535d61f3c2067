import { randomUUID } from 'node:crypto';
import { HttpException } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { withAdapter } from '../http/adapter-host.js';
import type { HttpExchange } from '../http/http-exchange.js';
import type { LinkCookies } from '../http/link-cookies.js';
import { isBrowser, isNavigation, isWithoutUser } from '../http/requester.js';
import type { LeaseKeeper } from '../leases/keeper.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { errorReason } from '../shared/error-reason.js';
import { asked } from '../shared/hooks.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { LinkGrant } from '../tokens/grant.js';
import type { TokenNames } from '../tokens/transports.js';
import type { Challenge, LinkAsk, LinkPrompt, ResolvedPromptOptions } from './options.js';
import { ANSWER_FIELD, PROMPT_PAGE_HEADERS, promptPage } from './page.js';
import { postedNote, takeFields, takePostedForms } from './posted-form.js';
import { promptCookie, promptCookieName, PromptSeals } from './prompt-cookie.js';
import type { SealSettings } from './prompt-cookie.js';
import { judged } from './wrong-answers.js';

/** The field of the form that says which browser was shown the page. */
const SHOWN_FIELD = 'ss-prompt';

interface PromptSettings extends SealSettings {
  readonly prompts: ResolvedPromptOptions;
  readonly tokenNames: TokenNames;
}

/** A request for a link that asks something. */
export interface PromptedVisit {
  readonly exchange: HttpExchange;
  readonly grant: LinkGrant;
  readonly asks: LinkAsk;
  readonly challenge?: Challenge;
  /** Where a browser is to keep the cookie of the link, and until when, in milliseconds since 1970. */
  readonly cookie: { readonly path: string; readonly endsAt: number };
}

/** What a link answers instead of the file: a page that asks something, or where to go on. */
export class LinkReply extends HttpException {
  constructor(
    status: number,
    readonly body: string,
    readonly headers: Readonly<Record<string, string>>,
    /** Why the page is shown again. */
    readonly refusal?: DownloadRefusal,
  ) {
    super(body, status);
  }
}

/** Leads on by GET. @param location relative to the URL that the browser has, whatever a proxy strips */
export function seeOther(location: string): LinkReply {
  return new LinkReply(303, '', { Location: location, 'Cache-Control': 'no-store' });
}

/** Asks for a press of a button, or for an answer, before a link opens. */
export class LinkPrompts {
  private readonly logger = new ThrottledLogger('DownloadAuth');
  private readonly seals: PromptSeals;

  constructor(
    private readonly options: PromptSettings,
    private readonly keeper: LeaseKeeper,
    private readonly cookies: LinkCookies,
    adapterHost: HttpAdapterHost,
  ) {
    this.seals = new PromptSeals(options);
    withAdapter(adapterHost, (adapter) => takePostedForms(adapter, options.tokenNames.query));
  }

  /**
   * Returns for a request that may go on to the handler.
   *
   * @throws LinkReply a page, or after its form was sent the way back to the link
   * @throws DownloadRefusal LINK_UNCONFIRMED, CHALLENGE_UNANSWERED, CHALLENGE_FAILED, CHALLENGE_BLOCKED,
   *   STORE_UNAVAILABLE
   */
  async pass(visit: PromptedVisit): Promise<void> {
    const { exchange, asks } = visit;
    const query = postedNote.get(exchange.rawRequest);
    if (query !== undefined) {
      await this.take(visit, await takeFields(exchange));
      throw seeOther(query);
    }
    if (this.hasPassed(visit) || (asks === 'browsers' && !isBrowser(exchange.request))) {
      return;
    }
    await this.ask(visit, asks === 'challenge' ? 'CHALLENGE_UNANSWERED' : 'LINK_UNCONFIRMED');
  }

  private hasPassed(visit: PromptedVisit): boolean {
    const { id } = visit.grant.link;
    const { nonce, seal } = promptCookie(visit.exchange, id);
    return nonce !== undefined && seal !== undefined && this.seals.fits(seal, 'passed', id, nonce);
  }

  /** Takes in a form, and remembers in the browser that its link has passed. */
  private async take(visit: PromptedVisit, fields: URLSearchParams): Promise<void> {
    const { exchange, grant, asks } = visit;
    const { nonce } = promptCookie(exchange, grant.link.id);
    if (asks === 'challenge') {
      await this.judge(visit, fields.get(ANSWER_FIELD) ?? '');
      this.remember(visit, nonce ?? randomUUID(), 'passed');
      return;
    }
    const shown = fields.get(SHOWN_FIELD) ?? '';
    const isShown = nonce !== undefined && this.seals.fits(shown, 'shown', grant.link.id, nonce);
    if (!isShown || isWithoutUser(exchange.request)) {
      await this.ask(visit, 'LINK_UNCONFIRMED', true);
    }
    this.remember(visit, nonce as string, 'passed');
  }

  private async judge(visit: PromptedVisit, answer: string): Promise<void> {
    const { exchange, grant, challenge, cookie } = visit;
    if (!challenge) {
      throw new DownloadAuthConfigurationError(
        'A link was made with challenge: true, and nothing says whether an answer is right. Write challenge: ' +
          '(answer, grant) => … in forRoot() or @StreamDownload().',
      );
    }
    if (answer === '') {
      return this.ask(visit, 'CHALLENGE_UNANSWERED');
    }
    const link = { linkId: grant.link.id, endsAt: cookie.endsAt };
    const isRight = async () =>
      (await asked('challenge', () => challenge(answer, grant, exchange.request))) === true;
    if (!(await judged(this.keeper, link, this.options.prompts, isRight))) {
      await this.ask(visit, 'CHALLENGE_FAILED', true);
    }
  }

  /** Shows the page to a person, and refuses a program. */
  private async ask(visit: PromptedVisit, code: RefusalCode, isAgain = false): Promise<never> {
    const refusal = new DownloadRefusal(code);
    const { exchange, grant, asks } = visit;
    if (!showsPage(visit)) {
      throw refusal;
    }
    const prompt: LinkPrompt = {
      asks: asks === 'challenge' ? 'answer' : 'confirmation',
      grant,
      fields: asks === 'challenge' ? {} : { [SHOWN_FIELD]: this.shown(visit) },
      problem: isAgain ? refusal : undefined,
      request: exchange.request,
    };
    const headers = { ...refusal.headers, ...PROMPT_PAGE_HEADERS };
    throw new LinkReply(
      isAgain ? refusal.getStatus() : 200,
      await this.pageOf(prompt),
      headers,
      prompt.problem,
    );
  }

  /** Gives a browser its number, unless another tab has it already, and binds the form to it. */
  private shown(visit: PromptedVisit): string {
    const { id } = visit.grant.link;
    const { nonce = randomUUID() } = promptCookie(visit.exchange, id);
    this.remember(visit, nonce, 'shown');
    return this.seals.make('shown', id, nonce);
  }

  private remember(
    { exchange, grant, cookie }: PromptedVisit,
    nonce: string,
    stage: 'shown' | 'passed',
  ): void {
    const { id } = grant.link;
    const set = {
      name: promptCookieName(id),
      value: stage === 'passed' ? `${nonce}.${this.seals.make(stage, id, nonce)}` : nonce,
      path: cookie.path,
      maxAge: Math.max(1, Math.ceil((cookie.endsAt - this.options.clock()) / 1000)),
    };
    this.cookies.set(set, exchange);
  }

  private async pageOf(prompt: LinkPrompt): Promise<string> {
    const { page, texts } = this.options.prompts;
    try {
      return page ? await page(prompt) : promptPage(prompt, await texts?.(prompt.request));
    } catch (error) {
      const reason = errorReason(error);
      const name = page ? 'prompts.page' : 'prompts.texts';
      this.logger.error(reason, `${name} failed (${reason}); the built-in page is shown in English.`, error);
      return promptPage(prompt);
    }
  }
}

/** Only a page that the browser shows, by itself, at the URL of the link can send a form there. */
function showsPage({ exchange, grant }: PromptedVisit): boolean {
  const { headers } = exchange.request;
  // `empty` where a service worker passes the navigation on
  const { 'sec-fetch-dest': destination = 'document' } = headers;
  return grant.transport === 'query' && isNavigation(headers) && ['document', 'empty'].includes(destination);
}
