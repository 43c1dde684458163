// Checks of the agent with @a2a-js/sdk: node sdk.mjs URL.

import { mistakes } from './mistakes.mjs';
import { push } from './push.mjs';
import { Report } from './report.mjs';
import { sides } from './side.mjs';
import { streams } from './streams.mjs';
import { tasks } from './tasks.mjs';

const report = new Report('js');
const checks = { ...tasks, ...streams, ...mistakes, ...push };
// Bindings at once: the agent must keep them apart, and it takes a third of the time.
await Promise.all((await sides(process.argv[2])).map((side) => report.run(side.binding, checks, side)));
report.end();
