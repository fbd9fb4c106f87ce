import { runProgram } from '@hcsshim/program';
import { run, usage } from './jobobject-util.ts';

runProgram('jobobject-util', usage, run);
