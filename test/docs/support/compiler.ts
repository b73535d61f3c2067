import { dirname, join } from 'node:path';
import ts from 'typescript';
import { ROOT } from './pages.js';

export interface Problem {
  /** `line 3: Cannot find name 'x'.` */
  readonly message: string;
  /** The name that is not declared, if that is the problem. */
  readonly missing?: string;
}

/** Codes of "Cannot find name" in its variants, and of a shorthand property without a value. */
const MISSING_NAME = new Set([2304, 2318, 2503, 2552, 2580, 2582, 2592, 2593, 18004]);

/** Compiles files that exist in memory only, with the project's compiler options and a browser's types. */
export class Compiler {
  private readonly options = compilerOptions();
  private readonly onDisk = new Map<string, ts.SourceFile | undefined>();
  private program: ts.Program | undefined;

  /** What is wrong with each file. */
  check(texts: ReadonlyMap<string, string>): Map<string, Problem[]> {
    const program = this.compile(texts);
    return new Map(
      [...texts.keys()].map((file) => {
        const source = program.getSourceFile(file);
        const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
        return [file, found.map(problemOf)];
      }),
    );
  }

  /** The names that each module exports. */
  exportsOf(modules: readonly string[]): Map<string, ReadonlySet<string>> {
    const file = join(ROOT, 'test/docs/modules.ts');
    const text = modules.map((module, index) => `import * as m${index} from '${module}';`).join('\n');
    const program = this.compile(new Map([[file, text]]));
    const checker = program.getTypeChecker();
    const imports = program.getSourceFile(file)?.statements.filter(ts.isImportDeclaration) ?? [];
    return new Map(
      imports.map(({ moduleSpecifier }) => {
        const symbol = checker.getSymbolAtLocation(moduleSpecifier);
        const names = symbol ? checker.getExportsOfModule(symbol).map(({ name }) => name) : [];
        return [(moduleSpecifier as ts.StringLiteral).text, new Set(names)];
      }),
    );
  }

  private compile(texts: ReadonlyMap<string, string>): ts.Program {
    const disk = ts.createCompilerHost(this.options);
    const folders = new Set([...texts.keys()].map((file) => dirname(file)));
    const host: ts.CompilerHost = {
      ...disk,
      fileExists: (file) => texts.has(file) || disk.fileExists(file),
      readFile: (file) => texts.get(file) ?? disk.readFile(file),
      directoryExists: (folder) => folders.has(folder) || disk.directoryExists?.(folder) === true,
      getSourceFile: (file, version) => {
        const text = texts.get(file);
        if (text !== undefined) {
          return ts.createSourceFile(file, text, version, true);
        }
        if (!this.onDisk.has(file)) {
          this.onDisk.set(file, disk.getSourceFile(file, version));
        }
        return this.onDisk.get(file);
      },
    };
    this.program = ts.createProgram([...texts.keys()], this.options, host, this.program);
    return this.program;
  }
}

function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: Record<string, unknown> };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  return {
    ...options,
    jsx: ts.JsxEmit.ReactJSX,
    lib: ['lib.es2023.d.ts', 'lib.es2024.string.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    noImplicitOverride: false, // nest new does not set it either
  };
}

function problemOf({ code, file, start, messageText }: ts.Diagnostic): Problem {
  const text = ts.flattenDiagnosticMessageText(messageText, ' ');
  const line = (file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0) + 1;
  const name = MISSING_NAME.has(code) ? /'(\w+)'/.exec(text)?.[1] : undefined;
  return { message: `line ${line}: ${text}`, missing: name };
}
