// Runs a command-line tool of this folder. Tools print what is wrong; without it a failure would say nothing.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const cwd = fileURLToPath(new URL('.', import.meta.url));

export function run(tool, ...options) {
  try {
    return execFileSync(`node_modules/.bin/${tool}`, options, { cwd, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    throw new Error(`${tool} failed:\n${error.stdout}${error.stderr}`);
  }
}
