import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Download, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, it as always } from 'vitest';
import {
  LARGE_SAMPLE,
  makeSampleFiles,
  makeSampleMedia,
} from '../../../sample-app/demo/samples/sample-files.js';
import { hasChromium, openBrowser, sha256, shareOf } from '../../support/browser.js';
import type { TestBrowser } from '../../support/browser.js';
import { describeSample, temporaryFolder } from '../support/sample.js';

const LIMIT = 60_000;
const it = always.skipIf(!hasChromium);

const folder = temporaryFolder();
let browser: TestBrowser;
let stranger: TestBrowser;
let expected: string;
beforeAll(async () => {
  await makeSampleFiles(folder);
  await makeSampleMedia(join(folder, 'media'));
  expected = await sha256(join(folder, LARGE_SAMPLE));
  if (hasChromium) {
    [browser, stranger] = await Promise.all([openBrowser(), openBrowser({ userAgent: 'Somebody else' })]);
  }
}, LIMIT);
afterAll(async () => {
  await Promise.all([browser?.close(), stranger?.close()]);
});

/** Code without its spaces and line breaks. */
const plain = (code: string) => code.replace(/\s+/g, '');

describeSample(folder, (sample) => {
  let page: Page;
  let problems: string[];
  beforeEach(async () => {
    if (!hasChromium) {
      return;
    }
    problems = [];
    await browser.context.clearCookies();
    page = await browser.context.newPage();
    page.on('pageerror', ({ message }) => problems.push(message));
    page.on('console', (message) => {
      // Above all violations of the content security policy. Refusals that a test provokes are expected.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load')) {
        problems.push(message.text());
      }
    });
    await page.goto(sample.url);
    return async () => {
      expect(problems).toEqual([]);
      await page.close();
    };
  });

  const signIn = async (username = 'ada') => {
    await page.getByLabel('Name', { exact: true }).fill(username);
    await page.getByLabel('Password', { exact: true }).fill('demo');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: LARGE_SAMPLE, level: 1 }).waitFor();
  };
  const chooseWay = (way: string) => page.getByRole('tab', { name: way }).click();
  const makeLink = async (amount: string, unit: string): Promise<Locator> => {
    const ticket = page.locator('.ticket').first();
    const before = await page.locator('.ticket').count();
    await page.getByLabel('Amount').fill(amount);
    await page.getByLabel('Unit').selectOption(unit);
    await page.getByRole('button', { name: 'Make a link' }).click();
    await expect.poll(() => page.locator('.ticket').count()).toBe(before + 1);
    return ticket;
  };
  /** Presses a button and waits until the file is on disk. */
  const downloadBy = async (button: Locator): Promise<Download> => {
    const [file] = await Promise.all([page.waitForEvent('download', { timeout: LIMIT }), button.click()]);
    expect(await file.failure()).toBeNull();
    return file;
  };
  const expectWhole = async (file: Download) => {
    const path = await file.path();
    expect(file.suggestedFilename()).toBe(LARGE_SAMPLE);
    expect(statSync(path).size).toBeGreaterThan(100_000_000);
    expect(await sha256(path)).toBe(expected);
    await file.delete();
    expect(page.url()).toBe(`${sample.url}/`);
  };

  it('shows pictures, a film and a document, with their links and their code', async () => {
    await signIn();
    const shown = () =>
      page.evaluate('[...document.images].filter((one) => one.naturalWidth === 480).length');
    await expect.poll(shown).toBe(6);
    await page.evaluate('document.querySelector("#film").play()');
    const time = () => page.evaluate('document.querySelector("#film").currentTime');
    await expect.poll(time).toBeGreaterThan(0.2);
    const green = async () => shareOf([11, 98, 73], await page.locator('#document').screenshot());
    await expect.poll(green, { timeout: 10_000 }).toBeGreaterThan(0.1);

    const source = plain(readFileSync('sample-app/media.controller.ts', 'utf8'));
    for (const code of await page.locator('.code').allTextContents()) {
      for (const line of code.split('\n')) {
        expect(source).toContain(plain(line));
      }
    }
    for (const link of await page.locator('.media .url').all()) {
      const { status } = await sample.request(new URL(await link.inputValue()).href.slice(sample.url.length));
      expect(status).toBe(200);
    }
  });

  it('reports a wrong name or password', async () => {
    await page.getByLabel('Name', { exact: true }).fill('ada');
    await page.getByLabel('Password', { exact: true }).fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText('Wrong name or password').waitFor();
  });

  it(
    'downloads a large file by header, through memory',
    async () => {
      await signIn();
      await chooseWay('Header');
      await page.getByText('This tab needs memory for all 134 MB').waitFor();
      const file = await downloadBy(page.getByRole('button', { name: 'Fetch into memory' }));
      expect(file.url()).toMatch(/^blob:/);
      await expectWhole(file);
      await page.getByText(/Saved. All 134 MB/).waitFor();
    },
    LIMIT,
  );

  it(
    'downloads a large file by cookie, which scripts cannot read',
    async () => {
      await signIn();
      await chooseWay('Cookie');
      const file = await downloadBy(page.getByRole('button', { name: 'Set the cookie' }));
      expect(file.url()).not.toContain('ss-tok');
      await expectWhole(file);
      const cookies = async () => (await browser.context.cookies()).filter(({ name }) => name === 'ss-tok');
      expect(await cookies()).toMatchObject([{ httpOnly: true, sameSite: 'Lax' }]);

      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.locator('#sign-in').getByText('You are signed out.').waitFor();
      await expect.poll(cookies).toEqual([]);
    },
    LIMIT,
  );

  it(
    'downloads a large file by the access token in the query',
    async () => {
      await signIn();
      await chooseWay('Query');
      const file = await downloadBy(page.getByRole('button', { name: 'Download anyway' }));
      expect(file.url()).toContain('ss-tok=');
      await expectWhole(file);
    },
    LIMIT,
  );

  it(
    'downloads a large file by a link',
    async () => {
      await signIn();
      const ticket = await makeLink('5', 'minutes');
      const file = await downloadBy(ticket.getByRole('button', { name: 'Download' }));
      expect(file.url()).toBe(await ticket.getByLabel('Link', { exact: true }).inputValue());
      await expectWhole(file);
    },
    LIMIT,
  );

  it('copies a link that a stranger can use', async () => {
    await signIn();
    const ticket = await makeLink('1', 'hours');
    await ticket.getByRole('button', { name: 'Copy' }).click();
    await ticket.getByText('Copied.').waitFor();
    const copied = await page.evaluate<string>('navigator.clipboard.readText()');
    const answer = await sample.request(copied.slice(sample.url.length), { method: 'HEAD' });
    expect(answer.status).toBe(200);
  });

  it('counts a link down until it has expired, and shows what the server says then', async () => {
    await signIn();
    const ticket = await makeLink('3', 'seconds');
    const state = () => ticket.getAttribute('data-state');
    expect(await state()).toBe('active');
    expect(await ticket.getByRole('timer').textContent()).toMatch(/^0:0[123]$/);
    const [{ expiresAt }] = await sample.links();

    await expect.poll(state, { timeout: 10_000, interval: 50 }).toBe('expired');
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expiresAt));
    await page.getByText(`The link to ${LARGE_SAMPLE} has expired.`).waitFor({ state: 'attached' });
    expect(await ticket.getByRole('button', { name: 'Download' }).isVisible()).toBe(false);

    await ticket.getByRole('button', { name: 'Try it anyway' }).click();
    await ticket.getByText('410 LINK_EXPIRED').waitFor();
  });

  it('revokes a link, and shows what the server says then', async () => {
    await signIn('grace');
    const ticket = await makeLink('1', 'days');
    await ticket.getByRole('button', { name: 'Revoke' }).click();
    await ticket.getByRole('button', { name: 'Try it anyway' }).click();
    await ticket.getByText('410 LINK_REVOKED').waitFor();

    // The list is on the server and outlives the session of the page.
    await page.reload();
    await signIn('grace');
    await expect.poll(() => page.locator('.ticket').first().getAttribute('data-state')).toBe('revoked');
  });

  it('counts a link for one download, which fails for anyone else afterwards', async () => {
    await signIn();
    await page.getByRole('button', { name: /Three chords/ }).click();
    await page.getByLabel('Downloads', { exact: true }).fill('1');
    const ticket = await makeLink('5', 'minutes');
    await ticket.getByText('0 of 1 used').waitFor();
    const url = await ticket.getByLabel('Link', { exact: true }).inputValue();
    const file = await downloadBy(ticket.getByRole('button', { name: 'Download' }));
    expect(file.suggestedFilename()).toBe('Three chords.wav');
    await ticket.getByText('1 of 1 used').waitFor();
    await ticket.getByText('Complete: all 265 kB sent.').waitFor();

    const visitor = await stranger.context.newPage();
    const answer = await visitor.goto(url);
    expect(answer?.status()).toBe(410);
    await visitor.close();
    await ticket.getByText('Request refused: 410 used up.').waitFor();
  });

  it(
    'shows live how far a download is, and stops it by revoking its link',
    async () => {
      await signIn();
      await page.getByText('Live', { exact: true }).waitFor();
      await page.getByLabel('Downloads', { exact: true }).fill('3');
      await page.getByLabel('In slow motion').check();
      const ticket = await makeLink('5', 'minutes');
      const [file] = await Promise.all([
        page.waitForEvent('download'),
        ticket.getByRole('button', { name: 'Download' }).click(),
      ]);
      await ticket.getByText('1 of 3 used').waitFor();
      const bar = ticket.getByRole('progressbar');
      const share = async () => Number(await bar.getAttribute('value'));
      await expect.poll(share, { timeout: 10_000 }).toBeGreaterThan(0);
      await ticket.getByText(/^\d+ %, .* MB of 134 MB$/).waitFor();

      await ticket.getByRole('button', { name: 'Revoke' }).click();
      await ticket.getByText(/^Stopped at \d+ %/).waitFor();
      await ticket.getByText('Revoked by you.').waitFor();
      await ticket.getByText(/Stopped by the server after/).waitFor();
      await ticket.getByText('Your browser does not have all of it: revoked.').waitFor();
      expect(await file.failure()).not.toBeNull();
      expect(await share()).toBeLessThan(1);
    },
    LIMIT,
  );

  it('shows live what somebody else does with a link', async () => {
    await signIn();
    await page.getByText('Live', { exact: true }).waitFor();
    const link = await sample.mint({}, sample.ada, 'readings.csv');
    const ticket = page.locator('.ticket', { hasText: 'readings.csv' }).first();
    await ticket.waitFor();
    await sample.request(link.url);
    await ticket.getByText('Download started.').waitFor();
    await ticket.getByText('used 1×').waitFor();
  });

  it('says that a download which it has started is complete', async () => {
    await signIn();
    await page.getByRole('button', { name: /Three chords/ }).click();
    const ticket = await makeLink('5', 'minutes');
    await (await downloadBy(ticket.getByRole('button', { name: 'Download' }))).delete();
    await ticket.getByText('Complete: your browser has all of it.').waitFor();
    await ticket.getByText('All 265 kB sent', { exact: true }).waitFor();
  });

  it.each([
    ['password', 'with a password'],
    ['confirmation', 'after a button is pressed'],
  ])('makes a link that asks for a %s, and opens it in a tab of its own', async (asksFor, choice) => {
    await signIn();
    await page.getByRole('button', { name: /Three chords/ }).click();
    await page.getByLabel('Opens').selectOption(choice);
    if (asksFor === 'password') {
      await page.getByLabel('Password of the link').fill('open sesame');
    }
    const ticket = await makeLink('5', 'minutes');
    const [tab] = await Promise.all([
      browser.context.waitForEvent('page'),
      ticket.getByRole('button', { name: 'Download' }).click(),
    ]);
    await ticket.getByText(`Asks for a ${asksFor} first.`).waitFor();
    await ticket.getByText('Opened in a new tab.').waitFor();
    if (asksFor === 'password') {
      await tab.getByLabel('Password or code').fill('open sesame');
    }
    const saving = tab.waitForEvent('download');
    await tab.getByRole('button').click();
    expect((await saving).suggestedFilename()).toBe('Three chords.wav');
    await ticket.getByText('used 1×').waitFor();
    await tab.close();
  });

  it('reports a lifetime that is too long', async () => {
    await signIn();
    await page.getByLabel('Amount').fill('8');
    await page.getByLabel('Unit').selectOption('days');
    await page.getByRole('button', { name: 'Make a link' }).click();
    await page.locator('#way-link [data-status]').getByText('7 days').waitFor();
  });

  it('keeps the access token out of the address and all storage', async () => {
    await signIn();
    await makeLink('1', 'minutes');
    const kept = await page.evaluate<string>(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state])',
    );
    expect(kept).not.toMatch(/eyJ|ss-tok/);
    await page.reload();
    expect(await page.getByRole('button', { name: 'Sign in' }).isVisible()).toBe(true);
  });

  it('works with the keyboard alone', async () => {
    await page.getByLabel('Name', { exact: true }).focus();
    await page.keyboard.type('ada');
    await page.keyboard.press('Tab');
    await page.keyboard.type('demo');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: LARGE_SAMPLE, level: 1 }).waitFor();

    await page.getByRole('button', { name: /Handbook/ }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Handbook.pdf', level: 1 }).waitFor();
    await page.getByRole('tab', { name: 'Link' }).focus();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator(':focus').textContent()).toBe('Cookie');
    expect(await page.locator('#way-cookie').isVisible()).toBe(true);
  });
});
