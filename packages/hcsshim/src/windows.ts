/** What of Windows has no like on Linux, the door `hcsshim/windows`: its services and their older interfaces, loaded together. */
export * from '@hcsshim/bridge/windows';
export * from '@hcsshim/hcn/windows';
export * from '@hcsshim/hcs/windows';
export * from '@hcsshim/storage/windows';
