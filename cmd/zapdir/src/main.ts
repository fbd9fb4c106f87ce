import { runProgram } from '@hcsshim/program';
import { run, usage } from './zapdir.ts';

runProgram('zapdir', usage, run);
