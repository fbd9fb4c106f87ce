/**
 * The procedures that hcsshim calls at commit 1b095260, by DLL, each with the number of arguments of its C prototype, as
 * its `//sys` lines declare them.
 */
export const proceduresOfHcsshim: Record<string, string> = {
  'advapi32.dll': `
    GetSecurityInfo/8 LogonUserW/6 RegCreateKeyExW/9 SetEntriesInAclW/4 SetSecurityInfo/7`,
  'api-ms-win-core-com-l1-1-0.dll': `
    CoTaskMemFree/1`,
  'bindfltapi.dll': `
    BfSetupFilter/6`,
  'cfgmgr32.dll': `
    CM_Get_DevNode_PropertyW/6 CM_Get_Device_ID_ListA/4 CM_Get_Device_ID_List_SizeA/3
    CM_Locate_DevNodeW/3`,
  'cimfs.dll': `
    CimCloseImage/1 CimCloseStream/1 CimCommitImage/1 CimCreateAlternateStream/4 CimCreateFile/4
    CimCreateHardLink/3 CimCreateImage/4 CimDeletePath/2 CimDismountImage/1 CimMountImage/4
    CimWriteStream/3`,
  'computenetwork.dll': `
    HcnCloseEndpoint/1 HcnCloseLoadBalancer/1 HcnCloseNamespace/1 HcnCloseNetwork/1 HcnCloseSdnRoute/1
    HcnCreateEndpoint/5 HcnCreateLoadBalancer/4 HcnCreateNamespace/4 HcnCreateNetwork/4
    HcnCreateSdnRoute/4 HcnDeleteEndpoint/2 HcnDeleteLoadBalancer/2 HcnDeleteNamespace/2
    HcnDeleteNetwork/2 HcnDeleteSdnRoute/2 HcnEnumerateEndpoints/3 HcnEnumerateLoadBalancers/3
    HcnEnumerateNamespaces/3 HcnEnumerateNetworks/3 HcnEnumerateSdnRoutes/3 HcnModifyEndpoint/3
    HcnModifyLoadBalancer/3 HcnModifyNamespace/3 HcnModifyNetwork/3 HcnModifySdnRoute/3
    HcnOpenEndpoint/3 HcnOpenLoadBalancer/3 HcnOpenNamespace/3 HcnOpenNetwork/3 HcnOpenSdnRoute/3
    HcnQueryEndpointProperties/4 HcnQueryLoadBalancerProperties/4 HcnQueryNamespaceProperties/4
    HcnQueryNetworkProperties/4 HcnQuerySdnRouteProperties/4`,
  'computestorage.dll': `
    HcsAttachLayerStorageFilter/2 HcsAttachOverlayFilter/2 HcsDestroyLayer/1
    HcsDetachLayerStorageFilter/1 HcsDetachOverlayFilter/2 HcsExportLayer/4 HcsFormatWritableLayerVhd/1
    HcsGetLayerVhdMountPath/2 HcsImportLayer/3 HcsInitializeWritableLayer/3 HcsSetupBaseOSLayer/3
    HcsSetupBaseOSVolume/3`,
  'iphlpapi.dll': `
    SetCurrentThreadCompartmentId/1 SetJobCompartmentId/2`,
  'kernel32.dll': `
    ClosePseudoConsole/1 CopyFileW/3 CreatePseudoConsole/5 CreateRemoteThread/7
    GetActiveProcessorCount/1 GetDiskFreeSpaceExW/4 IsProcessInJob/3 LocalAlloc/2 LocalFree/1
    OpenJobObjectW/3 QueryInformationJobObject/5 QueryIoRateControlInformationJobObject/4
    ResizePseudoConsole/2 SearchPathW/6 SetIoRateControlInformationJobObject/2`,
  'netapi32.dll': `
    NetLocalGroupAddMembers/5 NetLocalGroupGetInfo/4 NetUserAdd/4 NetUserDel/2`,
  'ntdll.dll': `
    NtCreateFile/11 NtCreateJobObject/3 NtOpenDirectoryObject/3 NtOpenJobObject/3
    NtQueryDirectoryObject/7 NtQueryInformationProcess/5 NtQuerySystemInformation/4
    NtSetInformationFile/5 RtlNtStatusToDosError/1`,
  'offreg.dll': `
    ORCloseHive/1 ORCloseKey/1 ORCreateHive/1 ORCreateKey/7 ORDeleteKey/2 ORGetValue/6 ORMergeHives/3
    OROpenHive/2 OROpenKey/3 ORSaveHive/4 ORSetValue/5`,
  'virtdisk.dll': `
    AttachVirtualDisk/6 OpenVirtualDisk/6`,
  'vmcompute.dll': `
    ActivateLayer/2 CopyLayer/5 CreateLayer/3 CreateSandboxLayer/5 DeactivateLayer/2 DestroyLayer/2
    ExpandSandboxSize/3 ExportLayer/5 GetBaseImages/1 GetLayerMountPath/4 GrantVmAccess/2 HNSCall/4
    HcsCloseComputeSystem/1 HcsCloseProcess/1 HcsCreateComputeSystem/5 HcsCreateProcess/5
    HcsEnumerateComputeSystems/3 HcsGetComputeSystemProperties/4 HcsGetProcessInfo/3
    HcsGetProcessProperties/3 HcsGetServiceProperties/3 HcsModifyComputeSystem/3 HcsModifyProcess/3
    HcsModifyServiceSettings/2 HcsOpenComputeSystem/3 HcsOpenProcess/4 HcsPauseComputeSystem/3
    HcsRegisterComputeSystemCallback/4 HcsRegisterProcessCallback/4 HcsResumeComputeSystem/3
    HcsSaveComputeSystem/3 HcsShutdownComputeSystem/3 HcsSignalProcess/3 HcsStartComputeSystem/3
    HcsTerminateComputeSystem/3 HcsTerminateProcess/2 HcsUnregisterComputeSystemCallback/1
    HcsUnregisterProcessCallback/1 ImportLayer/5 LayerExists/3 NameToGuid/2 PrepareLayer/4
    ProcessBaseImage/1 ProcessUtilityImage/1 UnprepareLayer/2`,
};
