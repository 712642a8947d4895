// The events that webhooks receive, in words.

/** @type {Record<string, string>} */
export const EVENTS = {
  "item.created": "Item created",
  "item.updated": "Item changed",
  "item.deleted": "Item deleted",
  "picture.ready": "Picture ready",
  "picture.failed": "Picture failed",
  "item.published": "Item published",
  "item.unpublished": "Item made private",
};
export const ALL = "*";
const TEST = "webhook.test";

/** Return the name of an event. @param {string} type */
export const eventName = (type) => (type === TEST ? "Test" : EVENTS[type] ?? type);

/** Return the events of a webhook in words. @param {string[]} events */
export const eventsText = (events) => (events.includes(ALL) ? "All events" : events.map(eventName).join(", "));
