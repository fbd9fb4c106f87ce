export { describeFlags, type Flag, FlagError, type Flags, type FlagValues, parseFlags } from './flags.ts';
export { runInterruptibly } from './interruption.ts';
export { OutputFile } from './output-file.ts';
export { printable } from './printable.ts';
export { ProgressBar, type ProgressTerminal } from './progress-bar.ts';
export { runProgram } from './run-program.ts';
export { systemProblem } from './system-problem.ts';
