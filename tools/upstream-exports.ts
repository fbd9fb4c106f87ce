/**
 * Every name that the root package of microsoft/hcsshim exports, by its file, at commit 1b095260 of 28 Oct 2024:
 * functions, types, variables, constants, and methods as `Type.Method`, also those of types that it only gives
 * another name. Until August 2026 none has come or gone.
 */
export const upstreamExports: Readonly<Record<string, string>> = {
  'container.go': `
    CreateContainer OpenContainer GetContainers ContainerProperties MemoryStats ProcessorStats StorageStats
    NetworkStats Statistics ProcessListItem MappedVirtualDiskController RequestType ResourceType
    ResourceModificationRequestResponse Add Remove Network`,
  'interface.go': `
    ProcessConfig Layer MappedDir MappedPipe HvRuntime MappedVirtualDisk AssignedDevice ContainerConfig
    ComputeSystemQuery Container Process Container.Start Container.Shutdown Container.Terminate
    Container.Wait Container.WaitTimeout Container.Pause Container.Resume Container.HasPendingUpdates
    Container.Statistics Container.ProcessList Container.MappedVirtualDisks Container.CreateProcess
    Container.OpenProcess Container.Close Container.Modify Process.Pid Process.Kill Process.Wait
    Process.WaitTimeout Process.ExitCode Process.ResizeConsole Process.Stdio Process.CloseStdin
    Process.Close`,
  'errors.go': `
    IsNotExist IsAlreadyClosed IsPending IsTimeout IsAlreadyStopped IsNotSupported IsOperationInvalidState
    IsAccessIsDenied EndpointNotFoundError NetworkNotFoundError ProcessError ContainerError
    ErrComputeSystemDoesNotExist ErrElementNotFound ErrNotSupported ErrInvalidData ErrHandleClose
    ErrAlreadyClosed ErrInvalidNotificationType ErrInvalidProcessState ErrTimeout ErrUnexpectedContainerExit
    ErrUnexpectedProcessAbort ErrUnexpectedValue ErrOperationDenied ErrVmcomputeAlreadyStopped
    ErrVmcomputeOperationPending ErrVmcomputeOperationInvalidState ErrProcNotFound
    ErrVmcomputeOperationAccessIsDenied ErrVmcomputeInvalidJSON ErrVmcomputeUnknownMessage
    ErrPlatformNotSupported ContainerError.Error ProcessError.Error`,
  'layer.go': `
    ActivateLayer CreateLayer CreateSandboxLayer CreateScratchLayer DeactivateLayer DestroyLayer
    ExpandSandboxSize ExpandScratchSize ExportLayer GetLayerMountPath GetSharedBaseImages ImportLayer
    LayerExists PrepareLayer ProcessBaseLayer ProcessUtilityVMImage UnprepareLayer ConvertToBaseLayer
    NameToGuid NewGUID NewLayerReader NewLayerWriter DriverInfo GUID LayerReader LayerWriter
    WC_LAYER_DESCRIPTOR GUID.ToString LayerReader.Next LayerReader.LinkInfo LayerReader.Read LayerReader.Close
    LayerWriter.Add LayerWriter.AddLink LayerWriter.Remove LayerWriter.Write LayerWriter.Close`,
  'hnsendpoint.go': `
    HNSEndpointRequest HNSListEndpointRequest HotAttachEndpoint HotDetachEndpoint GetHNSEndpointByID
    GetHNSEndpointByName GetHNSEndpointStats HNSEndpoint HNSEndpointStats Namespace SystemType
    EndpointAttachDetachRequest EndpointResquestResponse ContainerType VirtualMachineType HostType
    HNSEndpoint.IsAttached HNSEndpoint.Create HNSEndpoint.Delete HNSEndpoint.Update HNSEndpoint.ApplyACLPolicy
    HNSEndpoint.ApplyProxyPolicy HNSEndpoint.ContainerAttach HNSEndpoint.ContainerDetach HNSEndpoint.HostAttach
    HNSEndpoint.HostDetach HNSEndpoint.VirtualMachineNICAttach HNSEndpoint.VirtualMachineNICDetach`,
  'hnsnetwork.go': `
    HNSNetworkRequest HNSListNetworkRequest GetHNSNetworkByID GetHNSNetworkByName Subnet MacPool HNSNetwork
    HNSNetwork.Create HNSNetwork.Delete HNSNetwork.NewEndpoint HNSNetwork.CreateEndpoint
    HNSNetwork.CreateRemoteEndpoint`,
  'hnspolicy.go': `
    PolicyType ProxyPolicy NatPolicy QosPolicy IsolationPolicy VlanPolicy VsidPolicy PaPolicy
    OutboundNatPolicy ActionType DirectionType RuleType ACLPolicy Policy Nat ACL PA VLAN VSID VNet L2Driver
    Isolation QOS OutboundNat ExternalLoadBalancer Route Proxy Allow Block In Out Host Switch`,
  'hnspolicylist.go': `
    HNSPolicyListRequest HNSListPolicyListRequest PolicyListRequest GetPolicyListByID AddLoadBalancer
    AddRoute RoutePolicy ELBPolicy LBPolicy PolicyList PolicyList.Create PolicyList.Delete
    PolicyList.AddEndpoint PolicyList.RemoveEndpoint`,
  'hnsglobals.go': `
    GetHNSGlobals HNSGlobals HNSVersion HNSVersion1803`,
  'hnssupport.go': `
    GetHNSSupportedFeatures HNSSupportedFeatures HNSAclFeatures`,
  'hnsaccelnet.go': `
    SetNnvManagementMacAddresses GetNnvManagementMacAddresses DeleteNnvManagementMacAddresses
    HNSNnvManagementMacAddress HNSNnvManagementMacList ErrorEmptyMacAddressList
    HNSNnvManagementMacList.Set`,
  'hcsshim.go': `
    HcsError HcsError.Error WaitErrExecFailed ERROR_GEN_FAILURE ERROR_SHUTDOWN_IN_PROGRESS WSAEINVAL TimeoutInfinite`,
  'zsyscall_windows.go': `
    SetCurrentThreadCompartmentId`,
};
