import { runProgram } from '@hcsshim/program';
import { run, usage } from './grantvmgroupaccess.ts';

runProgram('grantvmgroupaccess', usage, run);
