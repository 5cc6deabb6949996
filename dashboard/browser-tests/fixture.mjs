/**
 * A job that does what it is told: `examples/page_fixture.rs`.
 */

import { spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CRATE = fileURLToPath(new URL("..", import.meta.url));

/** Builds the job. @returns {string} the program's path */
function build() {
  const built = spawnSync(
    "cargo",
    // The profile and the features of scripts/test: with others, all below it is compiled anew.
    [
      "build", "--profile", "checked", "--workspace", "--all-features",
      "--example", "page_fixture", "--message-format=json",
    ],
    { cwd: CRATE, encoding: "utf8", maxBuffer: 64 << 20, stdio: ["ignore", "pipe", "inherit"] },
  );
  if (built.status !== 0) throw new Error("the fixture does not build");
  const messages = built.stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return messages.findLast((message) => message.executable)?.executable;
}

const program = process.env.PAGE_FIXTURE ?? build();

export class Fixture {
  /** @param {number} port 0 for any */
  static async start(port = 0) {
    const child = spawn(program, [String(port)], { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const address = (await lines.next()).value;
    if (address === undefined) throw new Error("the fixture did not start");
    return new Fixture(child, lines, address);
  }

  /**
   * @param {import("node:child_process").ChildProcessByStdio<any, any, null>} child
   * @param {AsyncIterator<string>} lines
   * @param {string} address
   */
  constructor(child, lines, address) {
    this.child = child;
    this.lines = lines;
    this.address = address;
  }

  /** Gives commands, and returns the number of the snapshot that the last one led to. @param {string[]} commands */
  async tell(...commands) {
    let answer = "";
    for (const command of commands) {
      this.child.stdin.write(`${command}\n`);
      answer = (await this.lines.next()).value;
      if (!answer?.startsWith("ok ")) throw new Error(`${command}: ${answer}`);
    }
    return answer.slice(3);
  }

  /** Ends it, and waits until it has ended. */
  async stop() {
    if (this.child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.stdin.end();
    await ended;
  }
}
