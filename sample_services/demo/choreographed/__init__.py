"""The demo without a coordinator: four services and a bus, some of them killed at the worst moments."""
