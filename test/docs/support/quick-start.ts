import { textOf } from './pages.js';

/** What `nest new` of Nest 12 writes, as far as the quick start of README.md changes it or needs it. */
const NEST_NEW: Readonly<Record<string, string>> = {
  'src/app.service.ts': `import { Injectable } from '@nestjs/common';

@Injectable()
export class AppService {
  getHello(): string {
    return 'Hello World!';
  }
}
`,
  'src/app.controller.ts': `import { Controller, Get } from '@nestjs/common';
import { AppService } from './app.service.js';

@Controller()
export class AppController {
  constructor(private readonly appService: AppService) {}

  @Get()
  getHello(): string {
    return this.appService.getHello();
  }
}
`,
  'src/app.module.ts': `import { Module } from '@nestjs/common';
import { AppController } from './app.controller.js';
import { AppService } from './app.service.js';

@Module({
  imports: [],
  controllers: [AppController],
  providers: [AppService],
})
export class AppModule {}
`,
  'src/main.ts': `import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

async function bootstrap() {
  const app = await NestFactory.create(AppModule);
  await app.listen(process.env.PORT ?? 3000);
}
await bootstrap();
`,
};

const [, SECTION = ''] = /^## Quick start\n(.*?)^## /ms.exec(textOf('README.md')) ?? [];

/** The lines of the shell, and the lines that are added to files. */
export const COMMANDS = [...SECTION.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, code]) => linesOf(code!));
export const ADDED_LINES = linesOf(SECTION).filter((line) => /^\+ *\S/.test(line));

/** The files of the application once a reader has followed the quick start. */
export function quickStart(): Record<string, string> {
  const files = { ...NEST_NEW };
  for (const [, name = '', diff = ''] of SECTION.matchAll(
    /^`(src\/[\w.]+)`[^\n]*\n\n```diff\n(.*?)^```$/gms,
  )) {
    for (const hunk of diff.split('…\n')) {
      files[name] = patched(files[name]!, linesOf(hunk));
    }
  }
  return files;
}

/** @throws Error for lines that are not in the file, or more than once */
function patched(text: string, hunk: string[]): string {
  const side = (other: string) =>
    hunk.flatMap((line) => (line.startsWith(other) ? [] : `${line.slice(1)}\n`)).join('');
  const [head, tail, ...others] = text.split(side('+'));
  if (head === undefined || tail === undefined || others.length > 0) {
    throw new Error(`The quick start changes lines that nest new did not write:\n${side('+')}`);
  }
  return head + side('-') + tail;
}

function linesOf(text: string): string[] {
  return text.split('\n').slice(0, -1);
}
