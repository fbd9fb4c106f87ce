/** `node verity-tree.ts IMAGE OUTPUT`: writes the hash device of an image, for the bench, as `veritysetup format` does. */
import { closeSync, openSync } from 'node:fs';
import { FileInput, FileOutput, writeVerityTree } from '@hcsshim/ext4';

const [image = '', output = ''] = process.argv.slice(2);
const data = openSync(image, 'r');
const hashes = openSync(output, 'w+');
const input = new FileInput(data);
const { rootHash } = await writeVerityTree(input, input.size, new FileOutput(hashes), 0);
console.log(Buffer.from(rootHash).toString('hex'));
closeSync(data);
closeSync(hashes);
