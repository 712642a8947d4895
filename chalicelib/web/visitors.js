// The pages for visitors without reloads. The server renders them, and without this script they work too.
