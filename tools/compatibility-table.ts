/** Where something of upstream's root package is here. */
export interface CompatibilityRow {
  /** `DOOR NAME`, `DOOR NAME.MEMBER` or `DOOR NAME "WORD"`, as `our-exports.ts` reads it. @default not here, `note` says why */
  readonly ours?: string;
  /** What differs, or stands in its place. */
  readonly note?: string;
}

interface CompatibilitySection {
  readonly title: string;
  readonly introduction?: string;
  /** By upstream's names, methods as `Type.Method`. */
  readonly rows: Readonly<Record<string, CompatibilityRow>>;
}

/**
 * Every export of upstream's root package, and what it is here: `docs/COMPATIBILITY.md` is generated from it, and
 * `compatibility.test.ts` holds it against upstream's list and our exports.
 */
export const compatibility: readonly CompatibilitySection[] = [
  {
    title: 'Containers: functions and methods',
    introduction:
      'A container is a compute system; every call takes an `AbortSignal` and returns a promise. Errors are thrown.',
    rows: {
      CreateContainer: {
        ours: '@hcsshim/hcs/windows createContainer',
        note: 'The service is handed in, and HCSSHIM_CREATECONTAINER_ADDITIONALJSON is read for each call, not once. Documents of schema 2 go to `ComputeService.create`.',
      },
      OpenContainer: { ours: '@hcsshim/hcs ComputeService.open' },
      GetContainers: {
        ours: '@hcsshim/hcs ComputeService.enumerate',
        note: 'A row has the identity and state of a system; `getProperties` has the rest.',
      },
      Container: { ours: '@hcsshim/hcs ComputeSystem' },
      'Container.Start': { ours: '@hcsshim/hcs ComputeSystem.start' },
      'Container.Shutdown': {
        ours: '@hcsshim/hcs ComputeSystem.shutdown',
        note: 'Resolves when the guest was asked. Upstream returns ErrVmcomputeOperationPending then.',
      },
      'Container.Terminate': {
        ours: '@hcsshim/hcs ComputeSystem.terminate',
        note: 'Resolves when the system has ended. Upstream returns ErrVmcomputeOperationPending, and the caller waits.',
      },
      'Container.Wait': {
        ours: '@hcsshim/hcs ComputeSystem.wait',
        note: 'Resolves with how and why the system ended. Upstream returns an unexpected end as an error.',
      },
      'Container.WaitTimeout': {
        ours: '@hcsshim/hcs ComputeSystem.wait',
        note: '`wait({ signal: AbortSignal.timeout(ms) })`; `isTimeout` is true for what it then rejects with.',
      },
      'Container.Pause': { ours: '@hcsshim/hcs ComputeSystem.pause' },
      'Container.Resume': { ours: '@hcsshim/hcs ComputeSystem.resume' },
      'Container.HasPendingUpdates': { note: "Not here: upstream's answer is always false." },
      'Container.Statistics': {
        ours: '@hcsshim/hcs ComputeSystem.getProperties',
        note: "`getProperties({ PropertyTypes: ['Statistics'] })`",
      },
      'Container.ProcessList': {
        ours: '@hcsshim/hcs ComputeSystem.getProperties',
        note: "`getProperties({ PropertyTypes: ['ProcessList'] })`",
      },
      'Container.MappedVirtualDisks': {
        ours: '@hcsshim/hcs ComputeSystem.getPropertiesV1',
        note: '`MappedVirtualDiskControllers` of the properties of schema 1.',
      },
      'Container.CreateProcess': { ours: '@hcsshim/hcs ComputeSystem.createProcess' },
      'Container.OpenProcess': { ours: '@hcsshim/hcs ComputeSystem.openProcess' },
      'Container.Close': {
        ours: '@hcsshim/hcs ComputeSystem[Symbol.asyncDispose]',
        note: '`await using`, or called by its name.',
      },
      'Container.Modify': {
        ours: '@hcsshim/hcs ComputeSystem.modify',
        note: 'Takes requests of schema 2, and on Windows of schema 1. The `Settings` are checked by the path of the resource.',
      },
    },
  },
  {
    title: 'Processes',
    rows: {
      Process: { ours: '@hcsshim/hcs ComputeProcess' },
      'Process.Pid': { ours: '@hcsshim/hcs ComputeProcess.pid' },
      'Process.Kill': {
        ours: '@hcsshim/hcs ComputeProcess.kill',
        note: 'Resolves with whether there was something to kill. Upstream returns ErrElementNotFound when there was not.',
      },
      'Process.Wait': {
        ours: '@hcsshim/hcs ComputeProcess.wait',
        note: 'Resolves with the exit code.',
      },
      'Process.WaitTimeout': {
        ours: '@hcsshim/hcs ComputeProcess.wait',
        note: '`wait({ signal: AbortSignal.timeout(ms) })`',
      },
      'Process.ExitCode': {
        ours: '@hcsshim/hcs ProcessExit.exitCode',
        note: 'What `wait` resolves with.',
      },
      'Process.ResizeConsole': { ours: '@hcsshim/hcs ComputeProcess.resizeConsole' },
      'Process.Stdio': {
        ours: '@hcsshim/hcs ComputeProcess.stdin',
        note: 'With `stdout` and `stderr`: streams of Node, the same each time, null where none was asked for.',
      },
      'Process.CloseStdin': {
        ours: '@hcsshim/hcs ComputeProcess.closeStdin',
        note: '`stdin.end()` suffices.',
      },
      'Process.Close': { ours: '@hcsshim/hcs ComputeProcess[Symbol.asyncDispose]' },
    },
  },
  {
    title: 'Documents of schema 1',
    introduction: 'Types of TypeScript; the door has their validator.',
    rows: {
      ContainerConfig: { ours: '@hcsshim/schema/hcs-v1 ContainerConfig' },
      ProcessConfig: { ours: '@hcsshim/schema/hcs-v1 ProcessConfig' },
      Layer: { ours: '@hcsshim/schema/hcs-v1 Layer' },
      MappedDir: { ours: '@hcsshim/schema/hcs-v1 MappedDir' },
      MappedPipe: { ours: '@hcsshim/schema/hcs-v1 MappedPipe' },
      HvRuntime: { ours: '@hcsshim/schema/hcs-v1 HvRuntime' },
      MappedVirtualDisk: { ours: '@hcsshim/schema/hcs-v1 MappedVirtualDisk' },
      AssignedDevice: { ours: '@hcsshim/schema/hcs-v1 AssignedDevice' },
      ComputeSystemQuery: { ours: '@hcsshim/schema/hcs-v1 ComputeSystemQuery' },
      ContainerProperties: { ours: '@hcsshim/schema/hcs-v1 ContainerProperties' },
      MemoryStats: { ours: '@hcsshim/schema/hcs-v1 MemoryStats' },
      ProcessorStats: { ours: '@hcsshim/schema/hcs-v1 ProcessorStats' },
      StorageStats: { ours: '@hcsshim/schema/hcs-v1 StorageStats' },
      NetworkStats: { ours: '@hcsshim/schema/hcs-v1 NetworkStats' },
      Statistics: { ours: '@hcsshim/schema/hcs-v1 Statistics' },
      ProcessListItem: { ours: '@hcsshim/schema/hcs-v1 ProcessListItem' },
      MappedVirtualDiskController: { ours: '@hcsshim/schema/hcs-v1 MappedVirtualDiskController' },
      RequestType: { ours: '@hcsshim/schema/hcs-v1 RequestType' },
      ResourceType: { ours: '@hcsshim/schema/hcs-v1 ResourceType' },
      ResourceModificationRequestResponse: {
        ours: '@hcsshim/schema/hcs-v1 ResourceModificationRequestResponse',
      },
      Add: { ours: '@hcsshim/schema/hcs-v1 RequestType "Add"' },
      Remove: { ours: '@hcsshim/schema/hcs-v1 RequestType "Remove"' },
      Network: { ours: '@hcsshim/schema/hcs-v1 ResourceType "Network"' },
    },
  },
  {
    title: 'Errors',
    introduction:
      'An error is an `HcsError` whose `code` is the name of its HRESULT; where upstream has a value to compare with, here is the code. `hasResult(error, code)` looks through causes, as each predicate does.',
    rows: {
      ContainerError: {
        ours: '@hcsshim/schema HcsError',
        note: 'The message has the action, the container, the problem and the code; events of the service are in its words or in the cause.',
      },
      'ContainerError.Error': { ours: '@hcsshim/schema HcsError', note: '`message`' },
      ProcessError: { ours: '@hcsshim/schema HcsError' },
      'ProcessError.Error': { ours: '@hcsshim/schema HcsError', note: '`message`' },
      HcsError: { ours: '@hcsshim/schema HcsError' },
      'HcsError.Error': { ours: '@hcsshim/schema HcsError', note: '`message`' },
      EndpointNotFoundError: { ours: '@hcsshim/schema HResult.HCN_E_ENDPOINT_NOT_FOUND' },
      NetworkNotFoundError: { ours: '@hcsshim/schema HResult.HCN_E_NETWORK_NOT_FOUND' },
      IsNotExist: { ours: '@hcsshim/schema isNotFound' },
      IsAlreadyClosed: {
        ours: '@hcsshim/schema isAlreadyClosed',
        note: 'True for an invalid handle of Windows too, for which upstream has `IsErrorInvalidHandle`.',
      },
      IsPending: {
        ours: '@hcsshim/schema isPending',
        note: 'For codes of Windows that are passed on. No call of ours rejects to say that it goes on.',
      },
      IsTimeout: { ours: '@hcsshim/schema isTimeout', note: 'True for `AbortSignal.timeout` too.' },
      IsAlreadyStopped: { ours: '@hcsshim/schema isAlreadyStopped' },
      IsNotSupported: { ours: '@hcsshim/schema isNotSupported' },
      IsOperationInvalidState: { ours: '@hcsshim/schema isInvalidState' },
      IsAccessIsDenied: { ours: '@hcsshim/schema isAccessDenied', note: 'True for HCS_E_ACCESS_DENIED too.' },
      ErrComputeSystemDoesNotExist: { ours: '@hcsshim/schema HResult.HCS_E_SYSTEM_NOT_FOUND' },
      ErrElementNotFound: { ours: '@hcsshim/schema HResult.ERROR_NOT_FOUND' },
      ErrNotSupported: { ours: '@hcsshim/schema HResult.ERROR_NOT_SUPPORTED' },
      ErrInvalidData: { ours: '@hcsshim/schema HResult.ERROR_INVALID_DATA' },
      ErrHandleClose: { ours: '@hcsshim/schema HResult.ERROR_INVALID_HANDLE' },
      ErrAlreadyClosed: { ours: '@hcsshim/schema HResult.ERROR_INVALID_HANDLE' },
      ErrInvalidNotificationType: { ours: '@hcsshim/schema HResult.HCS_E_PROTOCOL_ERROR' },
      ErrInvalidProcessState: { ours: '@hcsshim/schema HResult.HCS_E_INVALID_STATE' },
      ErrTimeout: { ours: '@hcsshim/schema HResult.HCS_E_OPERATION_TIMEOUT' },
      ErrUnexpectedContainerExit: { ours: '@hcsshim/schema HResult.HCS_E_UNEXPECTED_EXIT' },
      ErrUnexpectedProcessAbort: { ours: '@hcsshim/schema HResult.HCS_E_SERVICE_DISCONNECT' },
      ErrUnexpectedValue: { ours: '@hcsshim/schema HResult.ERROR_INVALID_DATA' },
      ErrOperationDenied: { ours: '@hcsshim/schema HResult.E_ACCESSDENIED' },
      ErrVmcomputeAlreadyStopped: { ours: '@hcsshim/schema HResult.HCS_E_SYSTEM_ALREADY_STOPPED' },
      ErrVmcomputeOperationPending: { ours: '@hcsshim/schema HResult.ERROR_VMCOMPUTE_OPERATION_PENDING' },
      ErrVmcomputeOperationInvalidState: { ours: '@hcsshim/schema HResult.HCS_E_INVALID_STATE' },
      ErrProcNotFound: { ours: '@hcsshim/schema HResult.ERROR_PROC_NOT_FOUND' },
      ErrVmcomputeOperationAccessIsDenied: { ours: '@hcsshim/schema HResult.E_ACCESSDENIED' },
      ErrVmcomputeInvalidJSON: { ours: '@hcsshim/schema HResult.HCS_E_INVALID_JSON' },
      ErrVmcomputeUnknownMessage: { ours: '@hcsshim/schema HResult.HCS_E_UNKNOWN_MESSAGE' },
      ErrPlatformNotSupported: { ours: '@hcsshim/schema HResult.ERROR_NOT_SUPPORTED' },
    },
  },
  {
    title: 'Constants',
    rows: {
      WaitErrExecFailed: { ours: '@hcsshim/schema waitErrExecFailed' },
      TimeoutInfinite: {
        ours: '@hcsshim/schema timeoutInfinite',
        note: 'No call takes it: without a `signal` a wait has no end of its own.',
      },
      ERROR_GEN_FAILURE: {
        ours: '@hcsshim/schema HResult.ERROR_GEN_FAILURE',
        note: 'As an HRESULT, like all codes; `hresultFromWin32` makes one of a bare code.',
      },
      ERROR_SHUTDOWN_IN_PROGRESS: { ours: '@hcsshim/schema HResult.ERROR_SHUTDOWN_IN_PROGRESS' },
      WSAEINVAL: { ours: '@hcsshim/schema HResult.WSAEINVAL' },
      SetCurrentThreadCompartmentId: {
        ours: '@hcsshim/windows iphlpapi.procedures.SetCurrentThreadCompartmentId',
        note: '`bind(iphlpapi)`; it runs on the calling thread.',
      },
    },
  },
  {
    title: 'Layers',
    introduction:
      'A `LayerDriver` has the home directory and the flavour; parents are paths, the nearest first.',
    rows: {
      DriverInfo: {
        ours: '@hcsshim/storage/windows LayerDriverOptions',
        note: '`HomeDir` is `home`, `Flavour` is `flavour`.',
      },
      ActivateLayer: { ours: '@hcsshim/storage/windows LayerDriver.activate' },
      DeactivateLayer: { ours: '@hcsshim/storage/windows LayerDriver.deactivate' },
      CreateLayer: { ours: '@hcsshim/storage/windows LayerDriver.create' },
      CreateScratchLayer: {
        ours: '@hcsshim/storage/windows LayerDriver.createScratch',
        note: 'Without the id of the parent, which upstream does not use.',
      },
      CreateSandboxLayer: {
        ours: '@hcsshim/storage/windows LayerDriver.createScratch',
        note: 'The older name of `CreateScratchLayer`.',
      },
      DestroyLayer: { ours: '@hcsshim/storage/windows LayerDriver.destroy' },
      ExpandScratchSize: { ours: '@hcsshim/storage/windows LayerDriver.expandScratchSize' },
      ExpandSandboxSize: {
        ours: '@hcsshim/storage/windows LayerDriver.expandScratchSize',
        note: 'The older name of `ExpandScratchSize`.',
      },
      ExportLayer: { ours: '@hcsshim/storage/windows LayerDriver.export' },
      ImportLayer: { ours: '@hcsshim/storage/windows LayerDriver.import' },
      GetLayerMountPath: { ours: '@hcsshim/storage/windows LayerDriver.mountPath' },
      GetSharedBaseImages: { ours: '@hcsshim/storage/windows LayerDriver.sharedBaseImages' },
      LayerExists: { ours: '@hcsshim/storage/windows LayerDriver.exists' },
      PrepareLayer: { ours: '@hcsshim/storage/windows LayerDriver.prepare' },
      UnprepareLayer: { ours: '@hcsshim/storage/windows LayerDriver.unprepare' },
      ProcessBaseLayer: { ours: '@hcsshim/storage/windows LayerDriver.processBaseLayer' },
      ProcessUtilityVMImage: {
        ours: '@hcsshim/storage/windows LayerDriver.processUtilityVmImage',
      },
      ConvertToBaseLayer: { ours: '@hcsshim/storage/windows convertToBaseLayer' },
      NewLayerReader: { ours: '@hcsshim/storage/windows LayerReader.open' },
      NewLayerWriter: { ours: '@hcsshim/storage/windows LayerWriter.open' },
      LayerReader: { ours: '@hcsshim/storage/windows LayerReader' },
      'LayerReader.Next': {
        ours: '@hcsshim/storage/windows LayerReader[Symbol.asyncIterator]',
        note: '`for await (const entry of reader)`; what is deleted is an entry with `isDeletion`.',
      },
      'LayerReader.LinkInfo': { ours: '@hcsshim/storage/windows LayerFile.linkInfo' },
      'LayerReader.Read': {
        ours: '@hcsshim/storage/windows LayerFile.read',
        note: 'The backup stream of the entry, as buffers.',
      },
      'LayerReader.Close': { ours: '@hcsshim/storage/windows LayerReader[Symbol.asyncDispose]' },
      LayerWriter: { ours: '@hcsshim/storage/windows LayerWriter' },
      'LayerWriter.Add': { ours: '@hcsshim/storage/windows LayerWriter.add' },
      'LayerWriter.AddLink': { ours: '@hcsshim/storage/windows LayerWriter.addLink' },
      'LayerWriter.Remove': { ours: '@hcsshim/storage/windows LayerWriter.remove' },
      'LayerWriter.Write': { ours: '@hcsshim/storage/windows LayerWriter.write' },
      'LayerWriter.Close': {
        ours: '@hcsshim/storage/windows LayerWriter.commit',
        note: 'Without it, disposing of the writer leaves no layer.',
      },
      WC_LAYER_DESCRIPTOR: {
        note: 'Not exported: `LayerDriver` lays the structure out for the calls that take it.',
      },
      NameToGuid: { ours: '@hcsshim/storage/windows LayerDriver.nameToGuid' },
      NewGUID: { ours: '@hcsshim/windows newGuid', note: 'Gives the text.' },
      GUID: { note: 'GUIDs are texts here, lower case and without braces; `guidToBytes` gives the bytes.' },
      'GUID.ToString': { ours: '@hcsshim/windows guidFromBytes' },
    },
  },
  {
    title: 'Host Networking Service: documents',
    introduction: 'Types of TypeScript; the door has their validator. Constants are the words of a type.',
    rows: {
      HNSEndpoint: { ours: '@hcsshim/schema/hns HNSEndpoint' },
      Namespace: { ours: '@hcsshim/schema/hns Namespace' },
      SystemType: { ours: '@hcsshim/schema/hns SystemType' },
      EndpointAttachDetachRequest: { ours: '@hcsshim/schema/hns EndpointAttachDetachRequest' },
      HNSEndpointStats: { ours: '@hcsshim/schema/hns EndpointStats' },
      EndpointResquestResponse: {
        ours: '@hcsshim/schema/hns EndpointRequestResponse',
        note: 'Spelled right.',
      },
      ContainerType: { ours: '@hcsshim/schema/hns SystemType "Container"' },
      VirtualMachineType: { ours: '@hcsshim/schema/hns SystemType "VirtualMachine"' },
      HostType: { ours: '@hcsshim/schema/hns SystemType "Host"' },
      HNSNetwork: { ours: '@hcsshim/schema/hns HNSNetwork' },
      Subnet: { ours: '@hcsshim/schema/hns Subnet' },
      MacPool: { ours: '@hcsshim/schema/hns MacPool' },
      Policy: { ours: '@hcsshim/schema/hns Policy' },
      PolicyType: { ours: '@hcsshim/schema/hns PolicyType' },
      NatPolicy: { ours: '@hcsshim/schema/hns NatPolicy' },
      QosPolicy: { ours: '@hcsshim/schema/hns QosPolicy' },
      IsolationPolicy: { ours: '@hcsshim/schema/hns IsolationPolicy' },
      VlanPolicy: { ours: '@hcsshim/schema/hns VlanPolicy' },
      VsidPolicy: { ours: '@hcsshim/schema/hns VsidPolicy' },
      PaPolicy: { ours: '@hcsshim/schema/hns PaPolicy' },
      OutboundNatPolicy: { ours: '@hcsshim/schema/hns OutboundNatPolicy' },
      ProxyPolicy: { ours: '@hcsshim/schema/hns ProxyPolicy' },
      ACLPolicy: { ours: '@hcsshim/schema/hns ACLPolicy' },
      ActionType: { ours: '@hcsshim/schema/hns ActionType' },
      DirectionType: { ours: '@hcsshim/schema/hns DirectionType' },
      RuleType: { ours: '@hcsshim/schema/hns RuleType' },
      Nat: { ours: '@hcsshim/schema/hns PolicyType "NAT"' },
      ACL: { ours: '@hcsshim/schema/hns PolicyType "ACL"' },
      PA: { ours: '@hcsshim/schema/hns PolicyType "PA"' },
      VLAN: { ours: '@hcsshim/schema/hns PolicyType "VLAN"' },
      VSID: { ours: '@hcsshim/schema/hns PolicyType "VSID"' },
      VNet: { ours: '@hcsshim/schema/hns PolicyType "VNET"' },
      L2Driver: { ours: '@hcsshim/schema/hns PolicyType "L2Driver"' },
      Isolation: { ours: '@hcsshim/schema/hns PolicyType "Isolation"' },
      QOS: { ours: '@hcsshim/schema/hns PolicyType "QOS"' },
      OutboundNat: { ours: '@hcsshim/schema/hns PolicyType "OutBoundNAT"' },
      ExternalLoadBalancer: { ours: '@hcsshim/schema/hns PolicyType "ELB"' },
      Route: { ours: '@hcsshim/schema/hns PolicyType "ROUTE"' },
      Proxy: { ours: '@hcsshim/schema/hns PolicyType "PROXY"' },
      Allow: { ours: '@hcsshim/schema/hns ActionType "Allow"' },
      Block: { ours: '@hcsshim/schema/hns ActionType "Block"' },
      In: { ours: '@hcsshim/schema/hns DirectionType "In"' },
      Out: { ours: '@hcsshim/schema/hns DirectionType "Out"' },
      Host: { ours: '@hcsshim/schema/hns RuleType "Host"' },
      Switch: { ours: '@hcsshim/schema/hns RuleType "Switch"' },
      RoutePolicy: { ours: '@hcsshim/schema/hns RoutePolicy' },
      ELBPolicy: { ours: '@hcsshim/schema/hns ELBPolicy' },
      PolicyList: { ours: '@hcsshim/schema/hns PolicyList' },
      HNSGlobals: { ours: '@hcsshim/schema/hns HNSGlobals' },
      HNSVersion: { ours: '@hcsshim/schema/hns HNSVersion' },
      HNSSupportedFeatures: { ours: '@hcsshim/schema/hns HNSSupportedFeatures' },
      HNSAclFeatures: { ours: '@hcsshim/schema/hns HNSAclFeatures' },
      HNSNnvManagementMacAddress: { ours: '@hcsshim/schema/hns HNSNnvManagementMacAddress' },
      HNSNnvManagementMacList: { ours: '@hcsshim/schema/hns HNSNnvManagementMacList' },
      LBPolicy: {
        ours: '@hcsshim/schema/hns ELBPolicy',
        note: 'Its fields are in the one type that has them.',
      },
    },
  },
  {
    title: 'Host Networking Service: calls',
    introduction:
      '`createHnsClient()` of `@hcsshim/hcn/windows` gives a client with `networks`, `endpoints`, `policyLists` and `managementMacs`. Objects are addressed by id; their documents have no methods.',
    rows: {
      HNSNetworkRequest: {
        ours: '@hcsshim/hcn/windows HnsClient.request',
        note: "A request of one's own: method, path and body.",
      },
      HNSListNetworkRequest: { ours: '@hcsshim/hcn/windows HnsNetworks.list' },
      GetHNSNetworkByID: { ours: '@hcsshim/hcn/windows HnsNetworks.get' },
      GetHNSNetworkByName: { ours: '@hcsshim/hcn/windows HnsNetworks.getByName' },
      'HNSNetwork.Create': { ours: '@hcsshim/hcn/windows HnsNetworks.create' },
      'HNSNetwork.Delete': { ours: '@hcsshim/hcn/windows HnsNetworks.delete' },
      'HNSNetwork.NewEndpoint': {
        note: "Not here: write the endpoint's document, with the network's id as its `VirtualNetwork`.",
      },
      'HNSNetwork.CreateEndpoint': { ours: '@hcsshim/hcn/windows HnsEndpoints.create' },
      'HNSNetwork.CreateRemoteEndpoint': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.createRemote',
      },
      HNSEndpointRequest: {
        ours: '@hcsshim/hcn/windows HnsClient.request',
        note: "A request of one's own: method, path and body.",
      },
      HNSListEndpointRequest: { ours: '@hcsshim/hcn/windows HnsEndpoints.list' },
      GetHNSEndpointByID: { ours: '@hcsshim/hcn/windows HnsEndpoints.get' },
      GetHNSEndpointByName: { ours: '@hcsshim/hcn/windows HnsEndpoints.getByName' },
      GetHNSEndpointStats: { ours: '@hcsshim/hcn/windows HnsEndpoints.stats' },
      'HNSEndpoint.Create': { ours: '@hcsshim/hcn/windows HnsEndpoints.create' },
      'HNSEndpoint.Delete': { ours: '@hcsshim/hcn/windows HnsEndpoints.delete' },
      'HNSEndpoint.Update': { ours: '@hcsshim/hcn/windows HnsEndpoints.update' },
      'HNSEndpoint.IsAttached': { ours: '@hcsshim/hcn/windows HnsEndpoints.isAttached' },
      'HNSEndpoint.ApplyACLPolicy': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.applyAclPolicies',
      },
      'HNSEndpoint.ApplyProxyPolicy': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.applyProxyPolicies',
      },
      'HNSEndpoint.ContainerAttach': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.attach',
        note: "`{ to: 'container', containerId, compartmentId }`",
      },
      'HNSEndpoint.ContainerDetach': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.detach',
        note: "`{ to: 'container', containerId }`",
      },
      'HNSEndpoint.HostAttach': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.attach',
        note: "`{ to: 'host', compartmentId }`",
      },
      'HNSEndpoint.HostDetach': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.detach',
        note: "`{ to: 'host' }`",
      },
      'HNSEndpoint.VirtualMachineNICAttach': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.attach',
        note: "`{ to: 'virtual machine', nicName }`",
      },
      'HNSEndpoint.VirtualMachineNICDetach': {
        ours: '@hcsshim/hcn/windows HnsEndpoints.detach',
        note: "`{ to: 'virtual machine', nicName }`",
      },
      HotAttachEndpoint: {
        ours: '@hcsshim/hcs/windows hotAttachEndpoint',
        note: "The service and the client's `endpoints` are handed in.",
      },
      HotDetachEndpoint: { ours: '@hcsshim/hcs/windows hotDetachEndpoint' },
      HNSPolicyListRequest: {
        ours: '@hcsshim/hcn/windows HnsClient.request',
        note: "A request of one's own: method, path and body.",
      },
      PolicyListRequest: {
        ours: '@hcsshim/hcn/windows HnsClient.request',
        note: "A request of one's own: method, path and body.",
      },
      HNSListPolicyListRequest: { ours: '@hcsshim/hcn/windows HnsPolicyLists.list' },
      GetPolicyListByID: { ours: '@hcsshim/hcn/windows HnsPolicyLists.get' },
      'PolicyList.Create': { ours: '@hcsshim/hcn/windows HnsPolicyLists.create' },
      'PolicyList.Delete': { ours: '@hcsshim/hcn/windows HnsPolicyLists.delete' },
      'PolicyList.AddEndpoint': { ours: '@hcsshim/hcn/windows HnsPolicyLists.addEndpoint' },
      'PolicyList.RemoveEndpoint': {
        ours: '@hcsshim/hcn/windows HnsPolicyLists.removeEndpoint',
      },
      AddLoadBalancer: {
        ours: '@hcsshim/hcn/windows HnsPolicyLists.addLoadBalancer',
        note: 'Takes ids of endpoints, and the policy as a document.',
      },
      AddRoute: {
        ours: '@hcsshim/hcn/windows HnsPolicyLists.addRoute',
        note: 'Takes ids of endpoints, and the policy as a document.',
      },
      GetHNSGlobals: {
        ours: '@hcsshim/hcn/windows HnsClient.version',
        note: 'The version is all that the globals have.',
      },
      HNSVersion1803: { note: 'Not here: `isFeatureSupported` of `@hcsshim/hcn` compares versions.' },
      GetHNSSupportedFeatures: {
        ours: '@hcsshim/hcn supportedFeatures',
        note: 'Of a version that `HnsClient.version` gives. A version that cannot be read is an error, upstream takes it for none.',
      },
      SetNnvManagementMacAddresses: { ours: '@hcsshim/hcn/windows HnsManagementMacs.set' },
      'HNSNnvManagementMacList.Set': { ours: '@hcsshim/hcn/windows HnsManagementMacs.set' },
      GetNnvManagementMacAddresses: { ours: '@hcsshim/hcn/windows HnsManagementMacs.get' },
      DeleteNnvManagementMacAddresses: {
        ours: '@hcsshim/hcn/windows HnsManagementMacs.delete',
      },
      ErrorEmptyMacAddressList: {
        ours: '@hcsshim/hcn/windows HnsManagementMacs.set',
        note: 'It refuses an empty list with an `HcsError` of code `E_INVALIDARG`.',
      },
    },
  },
];
