// One line for each check, and what the program ends with.

import assert from 'node:assert/strict';

// No check waits for anything longer than a few seconds.
const CHECK_MS = 40_000;

export class Report {
  failed = 0;

  constructor(client) {
    this.client = client;
  }

  /** Runs the checks in order. What one does must not matter for the next. */
  async run(binding, checks, ...given) {
    for (const [name, check] of Object.entries(checks)) {
      try {
        await within(check(...given));
        console.log(`ok    ${this.client} ${binding}: ${name}`);
      } catch (error) {
        this.failed += 1;
        const text = `${error.name}: ${error.message}`.replaceAll(/\s+/g, ' ').slice(0, 600);
        console.log(`FAIL  ${this.client} ${binding}: ${name}: ${text}`);
        console.error(error);
      }
    }
  }

  end() {
    process.exit(this.failed ? 1 : 0);
  }
}

function within(check) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('the check took too long')), CHECK_MS);
  });
  return Promise.race([check, late]).finally(() => clearTimeout(timer));
}

export const equal = assert.deepStrictEqual;

/** Waits for something that takes a moment. */
export async function until(what, isSo) {
  for (let turn = 0; turn < 400; turn += 1) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${what}`);
}
