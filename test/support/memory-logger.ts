import { inspect } from 'node:util';

/** A Nest logger that keeps what it is told, stacks and causes included. */
export class MemoryLogger {
  readonly lines: string[] = [];
  readonly log = this.keep('log');
  readonly error = this.keep('error');
  readonly warn = this.keep('warn');
  readonly debug = this.keep('debug');
  readonly verbose = this.keep('verbose');
  readonly fatal = this.keep('fatal');

  get text(): string {
    return this.lines.join('\n');
  }

  private keep(level: string): (...messages: unknown[]) => void {
    return (...messages) => {
      const words = messages.map((message) =>
        typeof message === 'string' ? message : inspect(message, { depth: 10 }),
      );
      this.lines.push(`${level} ${words.join(' ')}`);
    };
  }
}
