import { readFile } from 'node:fs/promises';
import { HcsError } from '@hcsshim/schema';
import { resolveInRoot } from './path-in-root.ts';

export interface UserIds {
  uid: number;
  gid: number;
}

interface Account {
  name: string;
  id: number;
  /** A user's group. */
  gid: number;
}

/**
 * The ids behind `user`, `uid`, `user:group` and their mixtures, by the container's own passwd and group
 * files. A number needs no entry: its group is then 0. Throws in words for a name that is not there.
 */
export async function resolveUser(rootPath: string, user: string): Promise<UserIds> {
  const action = `Cannot resolve user "${user}"`;
  const invalid = (problem: string): HcsError => new HcsError({ action, problem, code: 'E_INVALIDARG' });
  const parts = user.split(':');
  const [userPart, groupPart] = parts;
  if (parts.length > 2 || !userPart || groupPart === '') {
    throw invalid('give a name or a number, and after a colon the group');
  }
  const find = async (part: string, file: string): Promise<Account> => {
    const accounts = await readAccounts(rootPath, file);
    const id = /^\d+$/.test(part) ? Number(part) : undefined;
    if (id !== undefined && id > 0xffff_ffff) throw invalid(`${part} is no id, ids have 32 bits`);
    const found = accounts.find((account) => (id === undefined ? account.name === part : account.id === id));
    if (found) return found;
    if (id === undefined) throw invalid(`"${part}" is not in ${file} of the container`);
    return { name: part, id, gid: 0 };
  };
  const account = await find(userPart, '/etc/passwd');
  return {
    uid: account.id,
    gid: groupPart === undefined ? account.gid : (await find(groupPart, '/etc/group')).id,
  };
}

/** Entries of passwd(5) and group(5), which agree up to the third field. */
async function readAccounts(rootPath: string, file: string): Promise<Account[]> {
  let text: string;
  try {
    text = await readFile(await resolveInRoot(rootPath, file), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => {
    const [name, , id, gid] = line.split(':');
    if (!name || name.startsWith('#') || !id || !/^\d+$/.test(id)) return [];
    return { name, id: Number(id), gid: Number(gid) || 0 };
  });
}
