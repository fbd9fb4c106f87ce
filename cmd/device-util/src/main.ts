import { runProgram } from '@hcsshim/program';
import { run, usage } from './device-util.ts';

runProgram('device-util', usage, run);
