import { escapeHtml, htmlPage } from '../refusals/page.js';
import type { LinkPrompt, PromptTexts } from './options.js';

/** The name of the form's field that holds the answer to a challenge. */
export const ANSWER_FIELD = 'answer';

const ENGLISH: PromptTexts = {
  lang: 'en',
  confirmTitle: 'Your download is ready',
  confirmText: 'Press the button to start it. You can close this page once it has begun.',
  confirmButton: 'Download',
  unconfirmed: 'That did not work. Allow cookies for this site, and press the button again.',
  challengeTitle: 'This download is protected',
  challengeText: 'Enter the password or code that you were given for it.',
  answerLabel: 'Password or code',
  challengeButton: 'Download',
  wrong: 'That is not right. Check it, and try again.',
  expires: 'This link works until {date}.',
};

/**
 * The header fields of a page that asks something: nothing may run in it, and no other site may frame it and
 * have a visitor press its button. `strict-origin` hides the token in its URL and lets the browser name the
 * origin of the form, which some applications check.
 */
export const PROMPT_PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'strict-origin',
} as const;

/** The built-in page. It has no script and no link. */
export function promptPage(prompt: LinkPrompt, translated: Partial<PromptTexts> = {}): string {
  const texts = { ...ENGLISH, ...translated };
  const { filename, expiresAt } = prompt.grant.link;
  const isChallenge = prompt.asks === 'answer';
  const title = isChallenge ? texts.challengeTitle : texts.confirmTitle;
  const problem = prompt.problem && (isChallenge ? texts.wrong : texts.unconfirmed);
  const lines = [
    `<h1>${escapeHtml(title)}</h1>`,
    filename && `<strong>${escapeHtml(filename)}</strong>`,
    `<p>${escapeHtml(isChallenge ? texts.challengeText : texts.confirmText)}</p>`,
    '<form method="post">',
    problem && `<p role="alert" id="problem">${escapeHtml(problem)}</p>`,
    ...Object.entries(prompt.fields).map(
      ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
    ),
    isChallenge && answerField(texts, problem !== undefined),
    `<button>${escapeHtml(isChallenge ? texts.challengeButton : texts.confirmButton)}</button>`,
    '</form>',
    `<small>${escapeHtml(texts.expires.replace('{date}', () => moment(expiresAt, texts.lang)))}</small>`,
  ];
  return htmlPage({ lang: texts.lang, title, main: lines.filter(Boolean).join('\n  ') });
}

function answerField({ answerLabel }: PromptTexts, isWrong: boolean): string {
  const wrong = isWrong ? ' aria-invalid="true" aria-describedby="problem"' : '';
  return (
    `<label for="answer">${escapeHtml(answerLabel)}</label>\n  ` +
    `<input id="answer" name="${ANSWER_FIELD}" type="password" autocomplete="off" required autofocus${wrong}>`
  );
}

/** In UTC: without a script, the page does not know where its reader is. */
function moment(date: Date, lang: string): string {
  const format = { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' } as const;
  return `${new Intl.DateTimeFormat(lang, format).format(date)} UTC`;
}
