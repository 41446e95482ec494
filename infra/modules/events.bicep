// Delivery reports: Event Grid puts them into a storage queue, with an identity of its own.
param name string
param tags object
param serviceId string
param storageName string
param queueName string
param deadContainerName string
@description('Seconds for which a report waits in the queue.')
param secondsToLive int

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName

  resource queues 'queueServices' existing = {
    name: 'default'
    resource queue 'queues' existing = { name: queueName }
  }
  resource blobs 'blobServices' existing = {
    name: 'default'
    resource container 'containers' existing = { name: deadContainerName }
  }
}

// Only a system-assigned identity comes through the account's firewall.
resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: 'global'
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: serviceId
    topicType: 'Microsoft.Communication.CommunicationServices'
  }
}

// Storage Queue Data Message Sender: it writes into this one queue.
resource write 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage::queues::queue
  name: guid(storage::queues::queue.id, topic.id, 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a')
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
    )
  }
}

// Storage Blob Data Contributor: what could not be delivered goes into this one container.
resource bury 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage::blobs::container
  name: guid(storage::blobs::container.id, topic.id, 'ba92f5b4-2d11-453d-a403-e96b0029c9fe')
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
    )
  }
}

resource reports 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'posthorn-reports'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    filter: {
      includedEventTypes: [
        'Microsoft.Communication.EmailDeliveryReportReceived'
        'Microsoft.Communication.EmailEngagementTrackingReportReceived'
      ]
    }
    retryPolicy: { eventTimeToLiveInMinutes: 1440, maxDeliveryAttempts: 30 }
    deliveryWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      destination: {
        endpointType: 'StorageQueue'
        properties: { resourceId: storage.id, queueName: queueName, queueMessageTimeToLiveInSeconds: secondsToLive }
      }
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: { resourceId: storage.id, blobContainerName: deadContainerName }
      }
    }
  }
  dependsOn: [write, bury]
}

output topicId string = topic.id
output topicName string = topic.name
