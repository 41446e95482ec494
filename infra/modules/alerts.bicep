// Alerts on metrics, which need no log. All but the last are of the platform.
param prefix string
param groupName string
param tags object
param serviceId string
param siteId string
param topicId string
param insightsId string
@description('Days of history of a message.')
param historyDays int
@description('E-mail address for alerts and for the budget. Empty: only the portal shows alerts.')
param email string

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: groupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'posthorn'
    emailReceivers: [{ name: 'operator', emailAddress: email, useCommonAlertSchema: true }]
  }
}

var alerts = [
  {
    name: 'failed-deliveries'
    description: 'Too many messages fail at their recipients. Microsoft takes sending from subscriptions beyond 1 percent.'
    scope: serviceId
    namespace: 'Microsoft.Communication/CommunicationServices'
    metric: 'DeliveryStatusUpdate'
    dimensions: [{ name: 'Result', operator: 'Include', values: ['Failure'] }]
    aggregation: 'Total'
    threshold: 10
  }
  {
    name: 'too-many-requests'
    description: 'ACS answers 429: somebody else uses the quota of the subscription, or the setting is above the limit.'
    scope: serviceId
    namespace: 'Microsoft.Communication/CommunicationServices'
    metric: 'APIRequestEmail'
    dimensions: [{ name: 'StatusCode', operator: 'Include', values: ['429'] }]
    aggregation: 'Total'
    threshold: 0
  }
  {
    name: 'lost-reports'
    description: 'Delivery reports could not be put into their queue. They lie in the container of dead events.'
    scope: topicId
    namespace: 'Microsoft.EventGrid/systemTopics'
    metric: 'DeadLetteredCount'
    dimensions: []
    aggregation: 'Total'
    threshold: 0
  }
  {
    name: 'answers-5xx'
    description: 'The gateway answers with errors of its own, or of storage or ACS.'
    scope: siteId
    namespace: 'Microsoft.Web/sites'
    metric: 'Http5xx'
    dimensions: []
    aggregation: 'Total'
    threshold: 20
  }
  {
    // Clean-up sees each record eight times in its history, so three hours a day of history are normal.
    name: 'clean-up-late'
    description: 'Rows in storage are older than they should be: clean-up does not keep up, or cannot delete.'
    scope: insightsId
    namespace: 'azure.applicationinsights'
    metric: 'posthorn.cleanup.age'
    dimensions: []
    aggregation: 'Maximum'
    threshold: (3 * historyDays + 12) * 3600
  }
]

resource rules 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for alert in alerts: {
    name: '${prefix}-${alert.name}'
    location: 'global'
    tags: tags
    properties: {
      description: alert.description
      enabled: true
      severity: 2
      scopes: [alert.scope]
      evaluationFrequency: 'PT15M'
      windowSize: 'PT1H'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: alert.name
            metricNamespace: alert.namespace
            metricName: alert.metric
            dimensions: alert.dimensions
            operator: 'GreaterThan'
            threshold: alert.threshold
            timeAggregation: alert.aggregation
            skipMetricValidation: true
          }
        ]
      }
      actions: empty(email) ? [] : [{ actionGroupId: people.id }]
    }
  }
]
