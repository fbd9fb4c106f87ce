import { listContainers } from 'hcsshim';

export async function ps(options: { quiet?: boolean }): Promise<void> {
  const containers = await listContainers();
  if (options.quiet) {
    for (const { id } of containers) console.log(id);
    return;
  }
  const rows = [
    ['ID', 'ENGINE', 'CREATED', 'OWNER', 'IMAGE', 'COMMAND'],
    ...containers.map(({ id, engine, createdAt, owner, image, command }) => [
      id,
      engine,
      createdAt.replace(/\.\d+Z$/, 'Z'),
      String(owner),
      image,
      command.join(' '),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}
