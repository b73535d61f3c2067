import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { chromium } from 'playwright-core';
import type { BrowserContext } from 'playwright-core';
import { PNG } from 'pngjs';
import { launch } from 'puppeteer-core';

const CHROMIUM = '/usr/bin/chromium';
const FIREFOX = '/usr/bin/firefox-esr';

export const hasChromium = isThere('Chromium', CHROMIUM);
export const hasFirefox = isThere('Firefox', FIREFOX);

function isThere(name: string, path: string): boolean {
  const found = existsSync(path);
  if (!found) {
    console.warn(`${name}: skipped, since there is no ${path}`);
  }
  return found;
}

export interface TestBrowser {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

interface BrowserOptions {
  /** What it says it is, where two on one computer have to be told apart. */
  readonly userAgent?: string;
  readonly javaScriptEnabled?: boolean;
  readonly args?: readonly string[];
  /** What a person has chosen in the settings, as the profile stores it. */
  readonly preferences?: object;
}

/** A Chromium with a profile of its own. */
export async function openBrowser(options: BrowserOptions = {}): Promise<TestBrowser> {
  const { userAgent, javaScriptEnabled = true, args = [], preferences = {} } = options;
  const profile = mkdtempSync(join(tmpdir(), 'download-browser-'));
  mkdirSync(join(profile, 'Default'));
  writeFileSync(join(profile, 'Default/Preferences'), JSON.stringify(preferences));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    userAgent,
    javaScriptEnabled,
    acceptDownloads: true,
    downloadsPath: join(profile, 'downloads'),
    permissions: ['clipboard-read', 'clipboard-write'],
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...args,
    ],
  });
  return {
    context,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** What tabs of both browsers can do. */
export interface Tab {
  goto(url: string, options: { waitUntil: 'load' }): Promise<unknown>;
  evaluate(script: string): Promise<unknown>;
  screenshot(): Promise<Uint8Array>;
}

export interface TabbedBrowser {
  newTab(): Promise<Tab>;
  close(): Promise<void>;
}

/** How to open each browser that is installed. */
export const BROWSERS: readonly (readonly [name: string, open: () => Promise<TabbedBrowser>])[] = [
  ...(hasChromium ? [['Chromium', openChromium] as const] : []),
  ...(hasFirefox ? [['Firefox', openFirefox] as const] : []),
];

async function openChromium(): Promise<TabbedBrowser> {
  const browser = await openBrowser();
  return { newTab: () => browser.context.newPage(), close: () => browser.close() };
}

/** Debian's Firefox, driven through WebDriver BiDi. */
async function openFirefox(): Promise<TabbedBrowser> {
  const downloads = mkdtempSync(join(tmpdir(), 'download-browser-'));
  const firefox = await launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: { 'browser.download.folderList': 2, 'browser.download.dir': downloads },
  });
  return {
    newTab: () => firefox.newPage(),
    close: async () => {
      await firefox.close();
      rmSync(downloads, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export type Colour = readonly [red: number, green: number, blue: number];

/** Which part of a screenshot has a colour, more or less: 0 to 1. */
export function shareOf(colour: Colour, screenshot: Uint8Array): number {
  const { data, width, height } = PNG.sync.read(Buffer.from(screenshot));
  let found = 0;
  for (let i = 0; i < data.length; i += 4) {
    found += colour.every((value, channel) => Math.abs(value - data[i + channel]!) < 24) ? 1 : 0;
  }
  return found / (width * height);
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
