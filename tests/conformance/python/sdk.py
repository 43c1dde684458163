"""Checks of the agent with a2a-sdk: python sdk.py URL."""

import asyncio
import sys

import mistakes
import push
import streams
import tasks
from report import Report
from side import sides


async def main():
    report = Report("python")
    checks = tasks.CHECKS + streams.CHECKS + mistakes.CHECKS + push.CHECKS
    # Bindings at once: the agent must keep them apart, and it takes a third of the time.
    await asyncio.gather(*(report.run(side.binding, checks, side) for side in await sides(sys.argv[1])))
    report.end()


asyncio.run(main())
